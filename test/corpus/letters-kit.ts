/** Runner of the rows about direct messages: one whole node, an honest relay, and one that sends whatever it likes. */
import { createCipheriv, createHmac, randomBytes } from 'node:crypto';
import { finalizeEvent, generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import { getConversationKey } from 'nostr-tools/nip44';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestRelay, createTestRelay } from '../../src/demo/relay.ts';
import type { RequestFrame } from '../../src/protocol/dmi.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { verifyEvent } from '../../src/relay/event.ts';
import { pubkeyOf } from '../../src/relay/key.ts';
import { encrypt } from '../../src/relay/nip44.ts';
import type { NostrEvent } from '../../src/relay/relay.ts';
import { type DmClient, dmClient, request } from '../e2e/dm-kit.ts';
import { unixNow } from '../e2e/signed.ts';
import { until } from '../nostr/kit.ts';
import { type RawRelay, createRawRelay } from '../relay/raw-relay.ts';
import { type Stage, ask, books, createStage } from './kit.ts';

/** What must become of it: dropped and counted under this name, told to its sender, or as if it had not come. */
export type Fate =
  | { dropped: string; by: 'wraps' | 'frames' | 'links' }
  | { told: [status: number, code?: string] }
  | 'ignored';

export interface LetterCase {
  what: string;
  /** Brings it to the node; the id of the request where something is told. */
  put: (stage: LetterStage) => Promise<string | undefined | void>;
  fate: Fate;
  /** `nothing` (default): no movement. `money`: the books must balance, all else is for `check`. */
  moves?: 'nothing' | 'money';
  check?: (stage: LetterStage) => void | Promise<void>;
}

export interface LetterRow {
  id: string;
  says: string;
  cases: readonly LetterCase[];
}

export interface LetterStage extends Stage {
  honest: TestRelay;
  /** What it says reaches the node as it is: nobody checked it. */
  liar: RawRelay;
  /** Events and challenge answers that the node sent to the liar. */
  told: { events: NostrEvent[]; auths: NostrEvent[] };
  /** Whether the liar takes events. */
  takes: { ok: boolean };
  /** Public key of the node. */
  node: string;
  /** A client on the honest relay, with nothing on its account. */
  client: DmClient;
  /** The same client's secret, for letters that its own code would not write. */
  clientKey: Uint8Array;
  /** Sends an event to the subscription of its kind, or of `as`, over the liar. */
  lie: (event: object, as?: number) => void;
  logsNothing: () => void;
}

const fresh = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

async function createLetterStage() {
  const honest = await createTestRelay({ verify: (event) => verifyEvent(event) !== undefined });
  const told: LetterStage['told'] = { events: [], auths: [] };
  const takes = { ok: true };
  const liar = await createRawRelay({
    req: ({ send }, id) => send('EOSE', id),
    event: ({ send }, event) => {
      told.events.push(event);
      send('OK', event.id, takes.ok, takes.ok ? '' : 'error: the disk is full');
    },
    auth: (_peer, event) => void told.auths.push(event),
  });
  const roles = ['dm', 'rpc'];
  const relays = [
    { url: honest.url, roles, perMinute: 6_000, burst: 1_000, auth: true },
    { url: liar.url, roles, perMinute: 6_000, burst: 1_000 },
  ];
  const { stage, secrets, close } = await createStage({ relays, announce: { enabled: false } });
  const node = pubkeyOf(stage.world.node.npub) ?? '';
  const clientKey = generateSecretKey();
  const client = await dmClient(node, [honest.url], Buffer.from(clientKey).toString('hex'));
  await until(() => liar.asked.length >= 2, 'the node to ask the liar');
  const asked = (kind: number): string =>
    liar.asked.findLast(({ filter }) => filter.kinds?.includes(kind) === true)?.id ?? '';
  const letters: LetterStage = {
    ...stage,
    honest,
    liar,
    told,
    takes,
    node,
    client,
    clientKey,
    lie: (event, as = (event as NostrEvent).kind) => liar.send('EVENT', asked(as), event),
    logsNothing: () => {
      const logged = stage.world.logged();
      expect(secrets.filter((each) => logged.includes(each))).toEqual([]);
    },
  };
  return {
    letters,
    close: async () => {
      await client.close();
      await close();
      await Promise.all([honest.close(), liar.close()]);
    },
  };
}

type Counts = Record<string, number>;
function countsOf({ world }: Stage): Counts {
  const { wraps = {}, frames = {}, unread = 0 } = world.node.messages() ?? {};
  const named = (by: string, all: Counts): [string, number][] =>
    Object.entries(all).map(([name, count]) => [`${by}/${name}`, count]);
  return Object.fromEntries([...named('wraps', wraps), ...named('frames', frames), ['links/unread', unread]]);
}

/** What was counted beside the question of the runner and its answer. */
function news(before: Counts, after: Counts): string[] {
  return Object.entries(after)
    .filter(([name, count]) => count > (before[name] ?? 0))
    .map(([name]) => name)
    .filter((name) => name !== 'wraps/opened' && name !== 'frames/ping')
    .sort();
}

let asks = 0;
/** Comes after what was put before on the same relay, so its answer shows that the node lives and is done with that. */
export async function pong({ client }: LetterStage): Promise<void> {
  const n = (asks += 1);
  const answered = (): boolean => client.got.some(({ frame }) => frame.t === 'pong' && frame.n === n);
  await client.send({ t: 'ping', n });
  await until(answered, 'the node to answer');
}

/** A ping over the liar is answered there: what the liar said before was read, and the link stands, perhaps anew. */
export async function liarIsHeard({ client, lie, told }: LetterStage): Promise<void> {
  const before = told.events.length;
  let sentAt = -Infinity;
  await until(() => {
    if (performance.now() - sentAt > 1_000) {
      lie(client.wrap({ t: 'ping', n: (asks += 1) }));
      sentAt = performance.now();
    }
    return told.events.length > before;
  }, 'an answer over the liar');
}

export function runLetters(rows: readonly LetterRow[]): void {
  let set: Awaited<ReturnType<typeof createLetterStage>>;
  beforeAll(async () => {
    set = await createLetterStage();
  }, 60_000);
  afterAll(() => set.close());

  const cases = rows.flatMap(({ id, cases: all }) => all.map((one) => [`${id} ${one.what}`, one] as const));
  test.each(cases)(
    '%s',
    async (_name, { put, fate, moves = 'nothing', check }) => {
      const { letters } = set;
      await pong(letters);
      const [before, counts, heard] = [await books(letters), countsOf(letters), letters.client.got.length];
      const answers = letters.told.events.length;
      const id = (await put(letters)) ?? '';
      if (typeof fate !== 'string' && 'told' in fate) {
        const { last } = await letters.client.end(id);
        expect([last.status, last.t === 'err' ? last.code : undefined]).toEqual([fate.told[0], fate.told[1]]);
      } else {
        const name = fate === 'ignored' ? undefined : `${fate.by}/${fate.dropped}`;
        if (name !== undefined)
          await until(() => (countsOf(letters)[name] ?? 0) > (counts[name] ?? 0), `the count of ${name}`);
        await pong(letters);
        expect(letters.client.got.slice(heard).map(({ frame }) => frame.t)).toEqual(['pong']);
        expect(letters.told.events.length).toBe(answers);
        if (fate === 'ignored') await liarIsHeard(letters);
        expect(news(counts, countsOf(letters))).toEqual(name === undefined ? [] : [name]);
        expect(await books(letters)).toEqual(before);
      }
      await check?.(letters);
      await pong(letters);
      const after = await books(letters);
      if (moves === 'nothing') expect(after.totals).toEqual(before.totals);
      expect(after.totals.drift).toBe(0);
      expect(letters.trap.contacts()).toBe(0);
      expect((await letters.get('/livez')).status).toBe(200);
      letters.logsNothing();
    },
    120_000,
  );
}

export interface Written {
  /** The rumor, with whatever fields. */
  rumor: object;
  sealBy?: Uint8Array;
  sealKind?: number;
  /** Last words on the signed seal, which then is not signed anew. */
  seal?: (seal: NostrEvent) => object;
  kind?: number;
  tags?: string[][];
  at?: number;
}

/** A wrap as an enemy builds it: every layer encrypted for the node, and whatever else he likes. */
export function written({ node, clientKey }: LetterStage, letter: Written): NostrEvent {
  const { rumor, sealBy = clientKey, sealKind = KIND.seal, seal: last = (seal) => seal } = letter;
  const { kind = KIND.ephemeralWrap, tags = [['p', node]], at = unixNow() } = letter;
  const seal = finalizeEvent(
    { kind: sealKind, created_at: at, tags: [], content: to(node, sealBy, JSON.stringify(rumor)) },
    sealBy,
  );
  return around(node, JSON.stringify(last(fresh(seal))), { kind, tags, created_at: at });
}

/** Around whatever text stands for the seal. */
export function around(
  node: string,
  sealText: string,
  event: { kind: number; tags: string[][]; created_at: number },
): NostrEvent {
  const once = generateSecretKey();
  return fresh(finalizeEvent({ ...event, content: to(node, once, sealText) }, once));
}

/** A wrap whose content is this text, whatever it is. */
export const bare = (node: string, content: string, tags = [['p', node]]): NostrEvent =>
  fresh(
    finalizeEvent({ kind: KIND.ephemeralWrap, created_at: unixNow(), tags, content }, generateSecretKey()),
  );

const to = (node: string, by: Uint8Array, text: string): string =>
  encrypt(text, getConversationKey(by, node), randomBytes(32));

/** NIP-44 with a right MAC around a text that is padded wrongly. */
export function badlyPadded(node: string): NostrEvent {
  const [once, nonce] = [generateSecretKey(), randomBytes(32)];
  const key = getConversationKey(once, node);
  const expand = (before: Buffer, turn: number): Buffer =>
    createHmac('sha256', key).update(before).update(nonce).update(Buffer.of(turn)).digest();
  const one = expand(Buffer.alloc(0), 1);
  const two = expand(one, 2);
  const three = expand(two, 3);
  const iv = Buffer.concat([Buffer.alloc(4), two.subarray(0, 12)]);
  const padded = Buffer.concat([Buffer.of(0, 5), Buffer.from('hello'), Buffer.alloc(60, 0xff)]);
  const secret = createCipheriv('chacha20', one, iv).update(padded);
  const mac = createHmac('sha256', Buffer.concat([two.subarray(12), three.subarray(0, 12)]))
    .update(nonce)
    .update(secret)
    .digest();
  const content = Buffer.concat([Buffer.of(2), nonce, secret, mac]).toString('base64');
  return fresh(
    finalizeEvent({ kind: KIND.ephemeralWrap, created_at: unixNow(), tags: [['p', node]], content }, once),
  );
}

export const PAID_PATH = '/v1/chat/completions';

/** A request for an answer that costs something. */
export const job = (over: Partial<RequestFrame>): RequestFrame =>
  request({ method: 'POST', path: PAID_PATH, body: JSON.stringify(ask()), ...over });

/** A rumor of the client. */
export const rumorOf = (
  { node, clientKey }: LetterStage,
  content: string,
  more: Record<string, unknown> = {},
): Record<string, unknown> => ({
  kind: KIND.frame,
  created_at: unixNow(),
  tags: [['p', node]],
  content,
  pubkey: getPublicKey(clientKey),
  ...more,
});
