/**
 * Chat letters: messages of the chat as NIP-17 rumors. An answer goes to the relays that the message came from, and to
 * those that its author names for messages (kind 10050) where the operator listed them: no others are ever contacted.
 */
import { LIMITS } from '../base/limits.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { looksLikeToken } from '../base/token-text.ts';
import { KIND } from '../protocol/kinds.ts';
import { refusesDate } from '../relay/outcome.ts';
import type { NostrEvent, RelaySet } from '../relay/relay.ts';
import type { Rumor, Wrapper } from '../relay/wrap.ts';
import type { ChatMessage } from './chat.ts';
import type { Address } from './chat-pending.ts';
import { cut } from './chat-words.ts';

/** A letter as the chat takes it; undefined for what was not written to this node alone. */
export function chatMessageOf(
  letter: { rumor: Rumor; sender: string; from: readonly string[] },
  pubkey: string,
): ChatMessage | undefined {
  const { rumor, sender, from } = letter;
  const others = rumor.tags.filter(([name, value]) => name === 'p' && value !== pubkey && value !== sender);
  // A talk of several people is not meant as an order that one of them pays.
  if (sender === pubkey || others.length > 0) return undefined;
  return { id: rumor.id, sender, from, text: rumor.content, createdAt: rumor.created_at };
}

export function createTell(parts: {
  relays: Pick<RelaySet, 'publishTo' | 'query' | 'status'>;
  wrapper: Wrapper;
  clock: Clock;
}): (to: Address, texts: readonly string[]) => Promise<boolean> {
  const { relays, wrapper, clock } = parts;
  const { chat } = LIMITS;
  /** Relays for messages by public key; least recently asked for first. */
  const inboxes = new Map<string, { urls: Promise<string[]>; at: number }>();

  /** Of the relays that a person names, those of relays.json. */
  async function ask(pubkey: string): Promise<string[]> {
    const found = await relays.query({ kinds: [KIND.messageRelays], authors: [pubkey], limit: 1 }, 'dm');
    const newest = found.toSorted((a, b) => b.created_at - a.created_at)[0];
    const named = (newest?.tags ?? [])
      .filter(([name]) => name === 'relay')
      .map(([, url]) => plain(url ?? ''));
    return relays.status().flatMap(({ url }) => (named.includes(plain(url)) ? [url] : []));
  }

  function inboxOf(pubkey: string): Promise<string[]> {
    const known = inboxes.get(pubkey);
    if (known && clock.monotonic() - known.at < chat.inboxMs) return known.urls;
    const urls = ask(pubkey);
    inboxes.delete(pubkey);
    inboxes.set(pubkey, { urls, at: clock.monotonic() });
    const [oldest] = inboxes.keys();
    if (inboxes.size > chat.inboxesMax && oldest !== undefined) inboxes.delete(oldest);
    return urls;
  }

  async function publish(to: Address, wrapped: (undated: boolean) => NostrEvent): Promise<boolean> {
    let event = wrapped(false);
    // Beside the answer, not before it; neither of the two ever rejects.
    void inboxOf(to.sender).then((urls) => relays.publishTo(event, without(urls, to.from)));
    for (const pause of [...chat.tellAgainMs, 0]) {
      const outcomes = await relays.publishTo(event, to.from);
      if (outcomes.some(({ outcome }) => outcome === 'ok' || outcome === 'duplicate')) return true;
      if (outcomes.some(refusesDate)) event = wrapped(true);
      await clock.sleep(pause);
    }
    return false;
  }

  return async (to, texts) => {
    const began = unixSeconds(clock);
    const pieces = texts.flatMap((text) => cut(text, looksLikeToken(text) ? chat.tokenBytesMax : undefined));
    for (const [i, content] of pieces.entries()) {
      const tags = [
        ['p', to.sender],
        ['e', to.id],
      ];
      // Apps show what has the same second in any order.
      const rumor = { kind: KIND.chatMessage, content, tags, created_at: began + i };
      const wrapped = (undated: boolean): NostrEvent =>
        wrapper.wrap(rumor, to.sender, { kind: KIND.wrap, undated });
      if (!(await publish(to, wrapped))) return false;
    }
    return true;
  };
}

const without = (urls: readonly string[], others: readonly string[]): string[] =>
  urls.filter((url) => !others.includes(url));

const plain = (url: string): string => url.trim().toLowerCase().replace(/\/+$/, '');
