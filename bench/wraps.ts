/**
 * Gift wraps of 1 kB: how many one core receives (verify and open) and sends (seal and wrap) per second of its time,
 * beside what nostr-tools does with the same events.
 */
import * as nip59 from 'nostr-tools/nip59';
import { verifyEvent } from 'nostr-tools/pure';
import { systemRandom } from '../src/base/id.ts';
import { Secret } from '../src/base/secret.ts';
import { systemClock } from '../src/base/time.ts';
import { nodeKey } from '../src/relay/key.ts';
import type { NostrEvent } from '../src/relay/relay.ts';
import { loadFastSchnorr } from '../src/relay/schnorr.ts';
import { createWrapper, openWrap } from '../src/relay/wrap.ts';
import { median } from './load.ts';

const KIND = 28_421;
/** Short rounds, many of them: on a machine with neighbours some stay undisturbed. */
const ROUNDS = 16;
const WRAPS = 48;
/** As long as ours take, about. */
const STOCK_WRAPS = 8;

/** Wraps per second of CPU time. */
export interface WrapRates {
  /** From clients that were seen before. */
  received: number;
  /** Each with a key of its own, to clients that were seen before. */
  sent: number;
  /** Frames of one stream. */
  streamed: number;
  stockReceived: number;
  stockSent: number;
  /** Over nostr-tools in the same round, the median of all: what neighbours take, they take from both. */
  receivedOverStock: number;
  sentOverStock: number;
}
type Name = 'received' | 'sent' | 'streamed' | 'stockReceived' | 'stockSent';

/** Rates are the best of all rounds, because neighbours only take away. */
export async function measureWraps(): Promise<WrapRates> {
  await loadFastSchnorr();
  const content = 'word '.repeat(205).slice(0, 1_024);
  const secrets = [systemRandom(32), systemRandom(32)] as const;
  const [node, client] = secrets.map((secret) => nodeKey(new Secret(Buffer.from(secret).toString('hex'))));
  if (node === undefined || client === undefined) throw new Error('two keys were made');
  const [toNode, toClient] = [client, node].map((key) => createWrapper(key, systemRandom, systemClock));
  if (toNode === undefined || toClient === undefined) throw new Error('two wrappers were made');

  const parts = { kind: KIND, content };
  const fresh = (event: NostrEvent): NostrEvent => JSON.parse(JSON.stringify(event)) as NostrEvent;
  const arrived = (count: number): NostrEvent[] =>
    Array.from({ length: count }, () => fresh(toNode.wrap(parts, node.pubkey, { kind: 1059 })));
  const stream = toClient.streamKey(client.pubkey);
  const stockSecret = Uint8Array.from(secrets[0]);

  const rates: Record<Name, number[]> = {
    received: [],
    sent: [],
    streamed: [],
    stockReceived: [],
    stockSent: [],
  };
  const rate = (name: Name, count: number, work: (i: number) => void): void => {
    const before = process.cpuUsage();
    for (let i = 0; i < count; i++) work(i);
    const { user, system } = process.cpuUsage(before);
    rates[name].push(count / ((user + system) / 1e6));
  };
  for (let round = 0; round < ROUNDS; round++) {
    const events = arrived(WRAPS);
    rate('received', WRAPS, (i) => {
      if ('refused' in openWrap(events[i] as NostrEvent, node)) throw new Error('a wrap was not opened');
    });
    const few = arrived(STOCK_WRAPS);
    rate('stockReceived', STOCK_WRAPS, (i) => {
      const event = few[i] as NostrEvent;
      if (!verifyEvent(event)) throw new Error('a wrap was not genuine');
      const rumor = nip59.unwrapEvent(event, stockSecret);
      if (rumor.content !== content) throw new Error('a wrap was not opened');
    });
    rate('sent', WRAPS, () => void toClient.wrap(parts, client.pubkey, { kind: 1059 }));
    rate('stockSent', STOCK_WRAPS, () => {
      nip59.wrapEvent({ ...parts, tags: [] }, stockSecret, client.pubkey);
    });
    rate('streamed', WRAPS, () => void toClient.wrap(parts, client.pubkey, { kind: 21059, stream }));
  }
  const best = (name: Name): number => Math.round(Math.max(...rates[name]));
  const over = (ours: Name, stock: Name): number =>
    Number(median(rates[ours].map((each, round) => each / (rates[stock][round] as number))).toFixed(2));
  return {
    received: best('received'),
    sent: best('sent'),
    streamed: best('streamed'),
    stockReceived: best('stockReceived'),
    stockSent: best('stockSent'),
    receivedOverStock: over('received', 'stockReceived'),
    sentOverStock: over('sent', 'stockSent'),
  };
}
