/** A storm: every token presented five times at once and stolen meanwhile, at a mint that fails in every way. */
import { Amount, getDecodedToken, getEncodedToken } from '@cashu/cashu-ts';
import { expect, onTestFinished, test } from 'vitest';
import type { MintFault } from '../../src/demo/mint.ts';
import { yOf } from '../../src/demo/mint-book.ts';
import { type Reply, type TestWorld, bearer, chat, testWorld, until } from './support.ts';

/** STORM_TOKENS=240 for the whole storm. */
const TOKENS = Number(process.env['STORM_TOKENS'] ?? 24);
const DUPLICATES = 5;
const WAVE = 12;
const TRIES_MAX = 900;
/** Told to come again: nothing is decided yet. */
const PATIENCE = new Set([409, 425, 429, 503]);
const isFinal = ({ status, json }: Reply): boolean =>
  !PATIENCE.has(status) || json?.error?.code === 'token_already_claimed';
const FAULTS: MintFault[] = [
  'drop-after',
  'status-500',
  'bad-json',
  'drop-before',
  'html-502',
  'rate-limit',
  'drop-after',
  'hang-after',
];
const FAULTS_MOST = 24;

interface Presented {
  text: string;
  sats: number;
  i: number;
}
type Way = (token: Presented) => Promise<Reply>;

test('a storm of duplicates, a thief and a failing mint gives each token one effect and loses no sat', async () => {
  const world = await testWorld({ mint: { dleq: false }, settings: { limits: { identical_requests: 0 } } });
  onTestFinished(() => world.close());
  const { mint, node } = world;
  const [thief, purse] = [await world.key(1), await world.key(1)];
  const insist = persistent(world);
  const ways: Way[] = [
    ({ text }) => world.post('/v1/balance/create', { cashu_token: text }),
    ({ text }) => world.post('/v1/balance/topup', { cashu_token: text }, bearer(purse)),
    ({ text, i }) => world.post('/v1/chat/completions', chat(`storm ${i}`), { 'x-cashu': text }),
  ];
  const steal: Way = ({ text }) =>
    world.post('/v1/balance/topup', { cashu_token: disguised(text, mint.keyset()) }, bearer(thief));

  let stolen = 0;
  let paidIn = 0;
  const keys = new Map<string, number>();
  const change: string[] = [];
  let costs = 0;

  async function fight(token: Presented): Promise<void> {
    const way = ways[token.i % ways.length] as Way;
    const presenters = Array.from({ length: DUPLICATES }, () => () => insist(() => way(token)));
    // The thief comes first for some, last for others.
    presenters.splice(token.i % (DUPLICATES + 1), 0, () => insist(() => steal(token)));
    const replies = await Promise.all(presenters.map((present) => present()));
    const [byThief] = replies.splice(token.i % (DUPLICATES + 1), 1) as [Reply];
    const paid = replies.filter(({ status }) => status === 200);
    const told = `token ${token.i}: thief ${byThief.status}, owners ${replies.map(({ status }) => status).join()}`;
    if (byThief.status === 200) {
      expect(byThief.json, told).toEqual({ msats: token.sats * 1000 });
      expect(paid, told).toEqual([]);
      stolen += token.sats;
      return;
    }
    // Who paid once is never told no: all five hear the same.
    expect(paid, told).toHaveLength(DUPLICATES);
    const words = new Set(paid.map(({ json, headers }) => wordOf(json, headers)));
    expect([...words], told).toHaveLength(1);
    const [first] = paid as [Reply];
    if (token.i % ways.length === 0) keys.set(first.json.api_key, token.sats);
    else if (token.i % ways.length === 1) paidIn += token.sats;
    else {
      costs += first.json.usage.cost_msats;
      const back = first.headers.get('x-cashu') ?? '';
      change.push(back);
      expect(first.json.usage.cost_msats + faceOf(back, mint.keyset()) * 1000, told).toBeLessThanOrEqual(
        token.sats * 1000,
      );
      expect(faceOf(back, mint.keyset()), told).toBe(
        Math.floor(token.sats - first.json.usage.cost_msats / 1000),
      );
    }
  }

  const tokens: Presented[] = [];
  for (let i = 0; i < TOKENS; i++) tokens.push({ i, sats: 20 + i, text: await mint.issue(20 + i) });
  for (let at = 0; at < TOKENS; at += WAVE) await Promise.all(tokens.slice(at, at + WAVE).map(fight));

  await until('nothing is under way', () => node.totals().assets['inflight'] === 0);
  for (const [key, sats] of keys) expect(await world.balance(key)).toBe(sats * 1000);
  expect(await world.balance(purse)).toBe((1 + paidIn) * 1000);
  expect(await world.balance(thief)).toBe((1 + stolen) * 1000);
  expect(new Set(change).size).toBe(change.length);

  const { drift, assets, equity } = node.totals();
  expect(drift).toBe(0);
  expect(equity['revenue']).toBe(costs);
  const withBuyers = change.reduce((sum, text) => sum + faceOf(text, mint.keyset()), 0);
  const withNode = Object.values(assets).reduce((sum, msats) => sum + msats, 0) / 1000;
  expect(withNode + withBuyers).toBe(mint.stats.outstanding);
  const Ys = change.flatMap((text) => proofsOf(text, mint.keyset()).map(({ secret }) => yOf(secret)));
  const states = await fetch(`${mint.url}/v1/checkstate`, { method: 'POST', body: JSON.stringify({ Ys }) });
  expect(await states.text()).not.toMatch(/"SPENT"|"PENDING"/);
  // The storm was one: there was something to win for both sides, and change to be had.
  expect(Math.min(stolen, keys.size, change.length)).toBeGreaterThan(0);
}, 300_000);

/** The same request until the node has said yes or no; every few requests the mint fails in another way. */
function persistent(world: TestWorld): (ask: () => Promise<Reply>) => Promise<Reply> {
  let asked = 0;
  let faults = 0;
  return async (ask) => {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (tries === 0 && ++asked % 24 === 0 && faults < FAULTS_MOST)
        world.mint.failNext(FAULTS[faults++ % FAULTS.length] as MintFault, { path: '/v1/swap' });
      const reply = await ask();
      if (isFinal(reply)) return reply;
      await new Promise((resolve) => setTimeout(resolve, Math.min(100 * (tries + 1), 1_000)));
    }
    throw new Error('the node never came to an answer');
  };
}

const proofsOf = (text: string, keyset: string) => getDecodedToken(text, [keyset]).proofs;
const faceOf = (text: string, keyset: string): number =>
  text === '' ? 0 : proofsOf(text, keyset).reduce((sum, { amount }) => sum + Number(amount), 0);

/** The same proofs in another order, and so in another text. */
function disguised(text: string, keyset: string): string {
  const { mint, unit, proofs } = getDecodedToken(text, [keyset]);
  const turned = proofs.toReversed().map((proof) => ({ ...proof, amount: Amount.from(proof.amount) }));
  return getEncodedToken({ mint, ...(unit !== undefined && { unit }), proofs: turned });
}

/** What all who paid with one token must hear alike. */
const wordOf = (json: Reply['json'], headers: Headers): string =>
  String(json.api_key ?? json.msats ?? headers.get('x-cashu'));
