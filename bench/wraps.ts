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

const KIND = 28_421;
const ROUNDS = 3;

export interface WrapRates {
  received: number;
  /** From clients that were seen before. */
  sent: number;
  /** Frames of one stream. */
  streamed: number;
  stockReceived: number;
  stockSent: number;
}

/** Wraps per second of CPU time; the best of a few rounds, because neighbours only take away. */
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

  const best: WrapRates = { received: 0, sent: 0, streamed: 0, stockReceived: 0, stockSent: 0 };
  const rate = (name: keyof WrapRates, count: number, work: (i: number) => void): void => {
    const before = process.cpuUsage();
    for (let i = 0; i < count; i++) work(i);
    const { user, system } = process.cpuUsage(before);
    best[name] = Math.max(best[name], Math.round(count / ((user + system) / 1e6)));
  };
  for (let round = 0; round < ROUNDS; round++) {
    const events = arrived(400);
    rate('received', events.length, (i) => {
      if ('refused' in openWrap(events[i] as NostrEvent, node)) throw new Error('a wrap was not opened');
    });
    rate('sent', 400, () => void toClient.wrap(parts, client.pubkey, { kind: 1059 }));
    rate('streamed', 400, () => void toClient.wrap(parts, client.pubkey, { kind: 21059, stream }));
    const few = arrived(40);
    rate('stockReceived', few.length, (i) => {
      const event = few[i] as NostrEvent;
      if (!verifyEvent(event)) throw new Error('a wrap was not genuine');
      const rumor = nip59.unwrapEvent(event, stockSecret);
      if (rumor.content !== content) throw new Error('a wrap was not opened');
    });
    rate('stockSent', 40, () => void nip59.wrapEvent({ ...parts, tags: [] }, stockSecret, client.pubkey));
  }
  return best;
}
