/** Several upstreams for one model, and what they may say about it: who is paid for, and how much at most. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Json, type TestWorld, bearer, testWorld } from './support.ts';
import {
  DONE,
  RAW_MODEL,
  type ScriptedModel,
  completion,
  delta,
  jsonAnswer,
  scriptedModel,
  sse,
  tokens,
  usageEvent,
} from './wire-kit.ts';

const PATH = '/v1/chat/completions';
/** The second one costs ten times as much. */
const DEARER = 10;
const CONTEXT = 128_000;

let cheap: ScriptedModel;
let dear: ScriptedModel;
let world: TestWorld;

const offerOf = ({ settings }: ScriptedModel): Json => (settings['upstreams'] as Json[])[0];

beforeAll(async () => {
  [cheap, dear] = [await scriptedModel(), await scriptedModel()];
  const [model] = offerOf(dear).models as Json[];
  const second = {
    ...offerOf(dear),
    id: 'dear',
    models: [{ ...model, input_usd_per_million: 5 * DEARER, output_usd_per_million: 15 * DEARER }],
  };
  const settings = { ...cheap.settings, upstreams: [offerOf(cheap), second] };
  world = await testWorld({ mint: { dleq: false }, settings });
});
afterAll(async () => {
  await world.close();
  await Promise.all([cheap.close(), dear.close()]);
});
beforeEach(() => {
  cheap.answer(jsonAnswer(200, completion('Hi', tokens(1_000, 100))));
  dear.answer(jsonAnswer(200, completion('Hi', tokens(1_000, 100))));
});

const ask = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  model: RAW_MODEL,
  messages: [{ role: 'user', content: 'word '.repeat(20) }],
  max_tokens: 100,
  ...more,
});
const info = async (key: string): Promise<Json> => (await world.get('/v1/wallet/info', bearer(key))).json;
const costOf = async (key: string, body: Record<string, unknown>): Promise<number> => {
  const before = (await info(key)).balance as number;
  const answer = await world.post(PATH, body, bearer(key));
  expect(answer.status).toBe(200);
  const after = await info(key);
  expect(after.reserved).toBe(0);
  if (body['stream'] !== true) expect(before - after.balance).toBe(answer.json.cost.total_msats);
  return before - (after.balance as number);
};

test('where the cheaper upstream fails before its first byte the dearer one answers, at its own price, once', async () => {
  const key = await world.key(500);
  const usual = await costOf(key, ask());
  for (const stream of [false, true]) {
    cheap.answer((res) => void res.writeHead(500).end());
    dear.answer(
      stream
        ? sse(delta({ role: 'assistant', content: 'Hi' }), delta({}, 'stop'), usageEvent(1_000, 100), DONE)
        : jsonAnswer(200, completion('Hi', tokens(1_000, 100))),
    );
    const served = dear.bodies.length;
    // Each is rounded up once.
    expect(Math.ceil((await costOf(key, ask({ stream }))) / DEARER)).toBe(usual);
    expect(dear.bodies.length).toBe(served + 1);
  }
  expect(world.node.totals().drift).toBe(0);
});

test('a balance that pays the cheaper one only is refused by the dearer one, and keeps everything', async () => {
  const key = await world.key(2);
  expect(await costOf(key, ask({ max_tokens: 5 }))).toBeGreaterThan(0);
  const poor = await world.key(1);
  const body = ask({ max_tokens: 5, messages: [{ role: 'user', content: 'word '.repeat(80) }] });
  cheap.answer((res) => void res.writeHead(500).end());
  const served = dear.bodies.length;
  const answer = await world.post(PATH, body, bearer(poor));
  expect([answer.status, answer.json.error.code]).toEqual([402, 'insufficient_balance']);
  expect(dear.bodies.length).toBe(served);
  expect(await info(poor)).toMatchObject({ balance: 1_000, reserved: 0 });
});

test('an answer in the name of another model is billed at the price of the one that was asked for', async () => {
  const key = await world.key(500);
  const usual = await costOf(key, ask());
  const other = { ...completion('Hi', tokens(1_000, 100)), model: 'some/giant' };
  cheap.answer(jsonAnswer(200, other));
  expect(await costOf(key, ask())).toBe(usual);
});

test('no upstream is believed more than the context and the output that was allowed', async () => {
  const key = await world.key(50_000);
  cheap.answer(jsonAnswer(200, completion('Hi', tokens(CONTEXT, 200))));
  const most = await costOf(key, ask({ n: 2 }));
  cheap.answer(jsonAnswer(200, completion('Hi', tokens(9_000_000, 9_000_000))));
  expect(await costOf(key, ask({ n: 2 }))).toBe(most);
  cheap.answer(
    sse(
      delta({ role: 'assistant', content: 'Hi' }),
      delta({}, 'stop'),
      usageEvent(9_000_000, 9_000_000),
      DONE,
    ),
  );
  expect(await costOf(key, ask({ n: 2, stream: true }))).toBe(most);
  expect(world.logged()).toContain('gateway.usage.overstated');
});

test('zeros are believed: such an answer costs its request fee, which is nothing here', async () => {
  const key = await world.key(50);
  cheap.answer(jsonAnswer(200, completion('Hi', tokens(0, 0))));
  expect(await costOf(key, ask())).toBe(0);
});
