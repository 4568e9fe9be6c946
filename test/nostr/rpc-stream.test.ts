import { expect, onTestFinished, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import type { Line } from '../../src/nostr/rpc-line.ts';
import { sendStream } from '../../src/nostr/rpc-stream.ts';
import type { DataFrame } from '../../src/protocol/dmi.ts';
import type { PublishOutcome } from '../../src/relay/relay.ts';
import { request } from '../e2e/dm-kit.ts';
import { manualClock, settle } from './kit.ts';

const url = 'wss://relay.test';
const { everyMs, everyMsMax, keepAliveMs, unheardMs } = LIMITS.dmi;

/** A stream whose bytes come when the test says so, and a relay that says what the test says. */
function streaming(stream: { every_ms?: number; max_events?: number } = {}) {
  const clock = manualClock();
  const state = { outcome: { url, outcome: 'ok' } as PublishOutcome, unheard: 0 };
  const sent: { at: number; frame: DataFrame }[] = [];
  const line: Line = {
    from: [url],
    also: () => undefined,
    send: (frame) => {
      sent.push({ at: clock.monotonic(), frame: frame as DataFrame });
      return Promise.resolve([state.outcome]);
    },
  };
  const waiting: (Buffer | undefined)[] = [];
  let wake = (): void => undefined;
  async function* body() {
    for (;;) {
      if (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const next = waiting.shift();
      if (next === undefined) return;
      yield next;
    }
  }
  const put = (next: Buffer | undefined): void => {
    waiting.push(next);
    wake();
  };
  const say = (content: string): void => {
    const chunk = { id: 'c', choices: [{ index: 0, delta: { content } }] };
    put(Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`));
  };
  const done = sendStream({
    frame: request({ stream }),
    body: body(),
    line,
    only: () => [url],
    keep: () => undefined,
    unheard: () => void (state.unheard += 1),
    clock,
  });
  const end = async () => {
    put(undefined);
    await settle();
    return done;
  };
  onTestFinished(async () => void (await end()));
  const texts = (): string[] => sent.map(({ frame }) => frame.d ?? '');
  return { clock, state, sent, texts, say, end };
}

test('the first words go at once, what follows together and four times a second, and the rest at the end', async () => {
  const { clock, sent, texts, say, end } = streaming();
  say('one');
  await settle();
  expect(sent).toHaveLength(1);
  for (const word of ['two', 'three', 'four']) say(word);
  await clock.advance(everyMs - 1);
  expect(sent).toHaveLength(1);
  await clock.advance(1);
  expect(sent).toHaveLength(2);
  expect(texts()[1]).toContain('twothreefour');
  say('five');
  const { last, sha256 } = await end();
  expect(last).toBe(3);
  expect(sha256).toHaveLength(64);
  expect(texts()[2]).toContain('five');
  expect(sent.map(({ frame }) => frame.seq)).toEqual([0, 1, 2]);
});

test('a relay that says rate-limited gets frames at half the pace, down to one in three seconds', async () => {
  const { clock, state, sent, say } = streaming();
  state.outcome = { url, outcome: 'rate-limited', reason: 'rate-limited: slow down' };
  say('begin');
  await settle();
  for (let i = 0; i < 240; i += 1) {
    say(`${i} `);
    await clock.advance(everyMs / 5);
  }
  const gaps = sent.slice(1).map(({ at }, i) => at - (sent[i]?.at ?? 0));
  expect(gaps.slice(0, 3)).toEqual([2 * everyMs, 4 * everyMs, 8 * everyMs]);
  expect(Math.max(...gaps)).toBe(everyMsMax);
});

test('the client chooses a slower pace, and how many frames there are at most', async () => {
  const { clock, sent, texts, say, end } = streaming({ every_ms: 1_000, max_events: 3 });
  say('a');
  await settle();
  for (const word of ['b', 'c', 'd', 'e']) {
    say(word);
    await clock.advance(1_000);
  }
  expect(sent.map(({ at }) => at)).toEqual([0, 1_000]);
  expect((await end()).last).toBe(3);
  expect(texts().at(-1)).toContain('cde');
});

test('while there is nothing to say, the node says every fifteen seconds that it is still there', async () => {
  const { clock, sent, say, end } = streaming();
  say('begin');
  await settle();
  await clock.advance(3 * keepAliveMs + 1_000);
  expect(sent.slice(1).map(({ frame }) => frame.d)).toEqual(['', '', '']);
  expect((await end()).last).toBe(4);
});

test('a stream that no relay takes for a minute has no reader, one that is taken now and then has', async () => {
  const { clock, state, say } = streaming();
  const lost: PublishOutcome = { url, outcome: 'unreachable', reason: 'no connection' };
  state.outcome = lost;
  say('begin');
  await settle();
  await clock.advance(unheardMs - 5_000);
  state.outcome = { url, outcome: 'ok' };
  say('heard');
  await clock.advance(1_000);
  state.outcome = lost;
  await clock.advance(unheardMs - 5_000);
  expect(state.unheard).toBe(0);
  await clock.advance(30_000);
  expect(state.unheard).toBeGreaterThan(0);
});
