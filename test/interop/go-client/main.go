// A Nostr client on the library go-nostr, for interop tests. One command per run; secrets come in the environment.
//
//	SEC=<hex> go-client pubkey                    prints the public key
//	go-client req <relay> <filter JSON>           prints stored events whose signature holds, one JSON per line
//	SEC=<hex> go-client wrap <to hex> <kind> <carrier>   content of a rumor of that kind on stdin; prints the gift wrap, 1059 or 21059
//	SEC=<hex> go-client unwrap                    gift wrap on stdin; prints the rumor with the author of its seal
//	go-client publish <relay>                     event on stdin; exits 1 unless the relay accepts it
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip44"
	"github.com/nbd-wtf/go-nostr/nip59"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if len(args) == 0 {
		return fmt.Errorf("no command")
	}
	switch {
	case args[0] == "pubkey":
		hex, err := nostr.GetPublicKey(os.Getenv("SEC"))
		fmt.Println(hex)
		return err
	case args[0] == "req" && len(args) == 3:
		return req(ctx, args[1], args[2])
	case args[0] == "wrap" && len(args) == 4:
		return wrap(args[1], args[2], args[3])
	case args[0] == "unwrap":
		return unwrap()
	case args[0] == "publish" && len(args) == 2:
		return publish(ctx, args[1])
	}
	return fmt.Errorf("command not understood")
}

func req(ctx context.Context, url, text string) error {
	var filter nostr.Filter
	if err := json.Unmarshal([]byte(text), &filter); err != nil {
		return err
	}
	relay, err := nostr.RelayConnect(ctx, url)
	if err != nil {
		return err
	}
	defer relay.Close()
	events, err := relay.QuerySync(ctx, filter)
	if err != nil {
		return err
	}
	for _, event := range events {
		if ok, _ := event.CheckSignature(); ok && event.CheckID() {
			fmt.Println(event.String())
		}
	}
	return nil
}

func publish(ctx context.Context, url string) error {
	event, err := eventIn()
	if err != nil {
		return err
	}
	relay, err := nostr.RelayConnect(ctx, url)
	if err != nil {
		return err
	}
	defer relay.Close()
	return relay.Publish(ctx, event)
}

func wrap(to, kind, at string) error {
	content, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	secret := os.Getenv("SEC")
	author, err := nostr.GetPublicKey(secret)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(kind)
	if err != nil {
		return err
	}
	rumor := nostr.Event{
		PubKey: author, Kind: number, CreatedAt: nostr.Now(), Content: string(content),
		Tags: nostr.Tags{nostr.Tag{"p", to}},
	}
	rumor.ID = rumor.GetID()
	key, err := nip44.GenerateConversationKey(to, secret)
	if err != nil {
		return err
	}
	event, err := nip59.GiftWrap(rumor, to,
		func(text string) (string, error) { return nip44.Encrypt(text, key) },
		func(seal *nostr.Event) error { return seal.Sign(secret) },
		func(gift *nostr.Event) {
			if at == "21059" {
				gift.Kind, gift.CreatedAt = 21059, nostr.Now()
			}
		})
	fmt.Println(event.String())
	return err
}

func unwrap() error {
	event, err := eventIn()
	if err != nil {
		return err
	}
	rumor, err := nip59.GiftUnwrap(event, func(other, text string) (string, error) {
		key, err := nip44.GenerateConversationKey(other, os.Getenv("SEC"))
		if err != nil {
			return "", err
		}
		return nip44.Decrypt(text, key)
	})
	fmt.Println(rumor.String())
	return err
}

func eventIn() (event nostr.Event, err error) {
	err = json.NewDecoder(os.Stdin).Decode(&event)
	return event, err
}
