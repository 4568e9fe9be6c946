/** A person's Nostr app: stock nostr-tools wraps and unwraps (NIP-17), a plain WebSocket to one relay; nothing of the node's code. */
import { unwrapEvent, wrapEvent } from 'nostr-tools/nip17';
import { type NostrEvent, finalizeEvent, generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import { WebSocket } from 'ws';
import { until } from './support.ts';

export interface Heard {
  id: string;
  pubkey: string;
  content: string;
  kind: number;
  created_at: number;
  tags: string[][];
}

export async function nostrApp(relayUrl: string, nodePubkey: string, secret = generateSecretKey()) {
  const pubkey = getPublicKey(secret);
  const socket = new WebSocket(relayUrl);
  const heard: Heard[] = [];
  const taken = new Map<string, boolean>();
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  socket.on('message', (data: Buffer) => {
    const [type, a, b] = JSON.parse(data.toString()) as [string, string, unknown];
    if (type === 'OK') taken.set(a, b === true);
    if (type === 'EVENT') heard.push(unwrapEvent(b as NostrEvent, secret));
  });
  socket.send(JSON.stringify(['REQ', 'mine', { kinds: [1059], '#p': [pubkey] }]));

  const publish = async (event: NostrEvent): Promise<void> => {
    socket.send(JSON.stringify(['EVENT', event]));
    await until('the relay took it', () => taken.get(event.id) === true);
  };
  const wrap = (text: string): NostrEvent => wrapEvent(secret, { publicKey: nodePubkey }, text);
  return {
    pubkey,
    secret,
    heard,
    wrap,
    publish,
    sign: (kind: number, tags: string[][]): NostrEvent =>
      finalizeEvent({ kind, tags, content: '', created_at: Math.floor(Date.now() / 1000) }, secret),
    /** Sends a message and waits for so many answers to it. */
    say: async (text: string, answers = 1): Promise<string[]> => {
      const before = heard.length;
      await publish(wrap(text));
      await until(`an answer to ${text.slice(0, 20)}`, () => heard.length >= before + answers);
      return heard
        .slice(before)
        .toSorted((a, b) => a.created_at - b.created_at)
        .map(({ content }) => content);
    },
    close: () => socket.close(),
  };
}

export type NostrApp = Awaited<ReturnType<typeof nostrApp>>;
