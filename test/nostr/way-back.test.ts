import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/id.ts';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import { answerFrames } from '../../src/nostr/rpc-ask.ts';
import { createTell } from '../../src/nostr/chat-letters.ts';
import { createLines } from '../../src/nostr/rpc-line.ts';
import { sendStream } from '../../src/nostr/rpc-stream.ts';
import { tell } from '../../src/nostr/rpc-tell.ts';
import { type NodeFrame, frameText } from '../../src/protocol/dmi.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import type { NostrEvent } from '../../src/relay/relay.ts';
import { createWrapper, openWrap } from '../../src/relay/wrap.ts';
import { request } from '../e2e/dm-kit.ts';
import { type Peer, createRawRelay } from '../relay/raw-relay.ts';
import { entry, hurried, newKey, openings } from './kit.ts';

const open = openings();
afterEach(open.close);

const [node, client] = [newKey(), newKey()];
const result: NodeFrame = { t: 'res', id: 'a'.repeat(32), status: 200, cost_msat: 0 };
/** Every date lies a day back. */
const halfway = (count: number): Uint8Array =>
  count === 4 ? new Uint8Array(4).fill(128) : systemRandom(count);

/** A relay with its own mind about events, and what it was sent. */
async function relayThat(answer: (event: NostrEvent) => [boolean, string]) {
  const sent: NostrEvent[] = [];
  const relay = await createRawRelay({
    event: ({ send }: Peer, event) => {
      sent.push(event);
      send('OK', event.id, ...answer(event));
    },
  });
  open.onClose(relay.close);
  return { url: relay.url, sent };
}
function linesTo(...urls: string[]) {
  const relays = open.set(urls.map((url) => entry(url, { roles: ['dm', 'rpc'] })));
  const wrapper = createWrapper(node, halfway, systemClock);
  return createLines({ wrapper, relays, clock: systemClock });
}
const lineTo = (...urls: string[]) => linesTo(...urls)(client.pubkey, urls);
const age = (event: NostrEvent | undefined): number =>
  unixSeconds(systemClock) - (event?.created_at ?? Number.NaN);
const said = (event: NostrEvent | undefined): unknown => {
  const opened = event && openWrap(event, client);
  return opened && 'rumor' in opened ? JSON.parse(opened.rumor.content) : opened;
};
const took = (): [boolean, string] => [true, ''];

describe('a relay that takes no wrap that is dated back', () => {
  const strict = (event: NostrEvent): [boolean, string] =>
    age(event) > 900 ? [false, 'invalid: created_at is too far in the past'] : [true, ''];

  test('gets it once more with the time of now, and the others do not', async () => {
    const [picky, easy] = [await relayThat(strict), await relayThat(took)];
    const outcomes = await lineTo(picky.url, easy.url).send(result, 'stored');
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['ok', 'ok']);
    expect(picky.sent.map(({ kind }) => kind)).toEqual([KIND.wrap, KIND.wrap]);
    expect(easy.sent).toHaveLength(1);
    expect(age(picky.sent[0])).toBeGreaterThan(80_000);
    expect(age(picky.sent[1])).toBeLessThan(900);
    expect(age(easy.sent[0])).toBeGreaterThan(80_000);
    for (const event of [...picky.sent, ...easy.sent]) expect(said(event)).toEqual(result);
  });

  test('gets a message of the chat with the time of now as well', async () => {
    const picky = await relayThat(strict);
    const relays = open.set([entry(picky.url, { roles: ['dm'] })]);
    const tell = createTell({
      relays,
      wrapper: createWrapper(node, halfway, systemClock),
      clock: hurried(100),
    });
    const to = { id: 'a'.repeat(64), sender: client.pubkey, from: [picky.url] };
    expect(await tell(to, ['hello'])).toBe(true);
    expect(picky.sent.map(({ kind }) => kind)).toEqual([KIND.wrap, KIND.wrap]);
    expect(age(picky.sent[0])).toBeGreaterThan(80_000);
    expect(age(picky.sent[1])).toBeLessThan(900);
  });

  test('and refuses that too is not asked a third time, nor is one with another reason asked again', async () => {
    const never = await relayThat(() => [false, 'invalid: timestamp']);
    const other = await relayThat(() => [false, 'invalid: too many tags']);
    const outcomes = await lineTo(never.url, other.url).send(result, 'stored');
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['refused', 'refused']);
    expect([never.sent.length, other.sent.length]).toEqual([2, 1]);
  });
});

describe('an answer in passing', () => {
  test.each([true, false])('that nobody was there for goes into a stored wrap (OK %s)', async (ok) => {
    const mute = await relayThat(({ kind }) =>
      kind === KIND.ephemeralWrap ? [ok, 'mute: no one was listening'] : [true, ''],
    );
    await tell(lineTo(mute.url), { frames: [result], worth: false });
    expect(mute.sent.map(({ kind }) => kind)).toEqual([KIND.ephemeralWrap, KIND.wrap]);
    expect(mute.sent.map(said)).toEqual([result, result]);
    expect(age(mute.sent[0])).toBeLessThan(60);
  });

  test('that one relay passed on does not, and one of worth is left to the outbox', async () => {
    const mute = await relayThat(() => [true, 'mute: no one was listening']);
    const heard = await relayThat(took);
    await tell(lineTo(mute.url, heard.url), { frames: [result], worth: false });
    await tell(lineTo(mute.url), { frames: [result], worth: true });
    const kinds = [...mute.sent, ...heard.sent].map(({ kind }) => kind);
    expect(kinds).toEqual([KIND.ephemeralWrap, KIND.ephemeralWrap, KIND.ephemeralWrap]);
  });
});

test('whoever will be away gets every frame in a wrap that relays keep', async () => {
  const relay = await relayThat(took);
  const line = linesTo(relay.url)(client.pubkey, [relay.url], true);
  await line.send({ t: 'acc', id: 'a'.repeat(32) }, 'live');
  await tell(line, { frames: [result], worth: false });
  expect(relay.sent.map(({ kind }) => kind)).toEqual([KIND.wrap, KIND.wrap]);
  expect(relay.sent.map(said)).toEqual([{ t: 'acc', id: 'a'.repeat(32) }, result]);
});

test('an event of a stream whose name fits no frame ends the stream, not the process', async () => {
  const relay = await relayThat(took);
  async function* body() {
    yield await Promise.resolve(Buffer.from(`event: ${'x'.repeat(30_000)}\ndata: {}\n\n`));
  }
  const sent = sendStream({
    frame: request({ stream: {} }),
    body: body(),
    line: lineTo(relay.url),
    only: () => [relay.url],
    keep: () => undefined,
    unheard: () => undefined,
    clock: systemClock,
  });
  await expect(sent).rejects.toThrow(RangeError);
  expect(relay.sent).toEqual([]);
});

test('usage that would not fit beside an answer stays in its body', async () => {
  const usage = { total_tokens: 3, details: 'x'.repeat(5_000) };
  const bytes = Buffer.from(JSON.stringify({ text: randomBytes(13_000).toString('base64'), usage }));
  const headers = { 'content-type': 'application/json', 'x-routstr-cost-msats': '5' };
  const [frame] = await answerFrames('a'.repeat(32), { status: 200, headers, bytes }, 5);
  expect(frame).toMatchObject({ t: 'res', cost_msat: 5 });
  expect(frame && 'usage' in frame).toBe(false);
  expect(frame && frameText(frame).length).toBeGreaterThan(17_000);
  const small = Buffer.from(JSON.stringify({ usage: { total_tokens: 3 } }));
  const [short] = await answerFrames('a'.repeat(32), { status: 200, headers, bytes: small }, 5);
  expect(short).toMatchObject({ usage: { total_tokens: 3 } });
});
