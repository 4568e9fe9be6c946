/** Talks with the chat bot: money in, questions, money out, and everything that must not cost anything. */
import { expect, onTestFinished, test } from 'vitest';
import { newCancel } from '../../src/base/cancel.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import { accountOfPubkey } from '../../src/base/id.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import { createChat } from '../../src/nostr/chat.ts';
import { readChat } from '../../src/nostr/chat-command.ts';
import { credentialOf } from '../../src/nostr/chat-money.ts';
import { takeTurn } from '../../src/nostr/chat-turn.ts';
import { amount, cut } from '../../src/nostr/chat-words.ts';
import { NodeError } from '../../src/base/error.ts';
import { refuses, signs } from '../gateway/kit.ts';
import { until } from '../e2e/support.ts';
import { SIM_MODEL } from '../sim/upstream.ts';
import { ALICE, BOB, ecash, newChat } from './chat-kit.ts';

const COST = /— cost ([\d.]+) (m?sat), left ([\d.]+) (m?sat) · (\S+)$/;
const costOf = (text: string | undefined): { cost: number; left: number } => {
  const [, cost = '', costUnit, left = '', leftUnit] = COST.exec(text ?? '') ?? [];
  const msats = (value: string, unit: string | undefined) =>
    Math.round(Number(value) * (unit === 'sat' ? 1000 : 1));
  return { cost: msats(cost, costUnit), left: msats(left, leftUnit) };
};

test('a pasted token becomes balance, a question is answered and its cost told, the rest comes back', async () => {
  const bot = await newChat();
  expect(await bot.say(`here you are ${ecash(500, 'first')} thanks`)).toEqual([
    'Received: 500 sat. Your balance is 500 sat.',
  ]);
  const [answer] = await bot.say('one two three');
  expect(answer).toMatch(/^one two three\n\n/);
  const { cost, left } = costOf(answer);
  expect(cost).toBeGreaterThan(0);
  expect([cost + left, left]).toEqual([500_000, bot.balance()]);
  expect((await bot.say('/balance'))[0]).toMatch(/^Your balance is .* sat\. 1 requests/);
  const [intro, paid] = await bot.say('/refund');
  expect(intro).toMatch(/^Here are \d+ sat as a token of https:\/\/a\.test/);
  expect(paid).toMatch(/^cashu/);
  expect(bot.balance()).toBeLessThan(1_000);
  expect(bot.running.ledger.totals().drift).toBe(0);
});

test('a conversation goes on until it is forgotten, by order or after an hour', async () => {
  const bot = await newChat();
  await bot.say(ecash(5_000, 'first'));
  const shown = () => {
    const messages = bot.model.requests.at(-1)?.body['messages'] as { role: string; content: string }[];
    return messages.map(({ role, content }) => `${role}: ${content}`);
  };
  await bot.say('/system Be brief.');
  await bot.say('one');
  await bot.say('two');
  expect(shown()).toEqual(['system: Be brief.', 'user: one', 'assistant: one', 'user: two']);
  await bot.say('/new');
  await bot.say('three');
  expect(shown()).toEqual(['user: three']);
  await bot.clock.advance(LIMITS.chat.contextMs);
  await bot.say('four');
  expect(shown()).toEqual(['user: four']);
});

test('unknown commands, empty messages and orders that lack something are never charged', async () => {
  const bot = await newChat();
  await bot.say(ecash(50, 'first'));
  for (const text of [
    JSON.stringify({ v: 1, t: 'req', id: '0', path: '/v1/models' }),
    '/hlep',
    '/topup',
    '/topup -5',
    '/topup 1.5',
    '/refund all of it',
    '/',
    '/model no/such',
    '  ',
  ]) {
    const replies = await bot.say(text);
    expect(replies.join(), text).not.toMatch(COST);
  }
  expect(bot.model.requests).toHaveLength(0);
  expect(bot.balance()).toBe(50_000);
  expect((await bot.say('/help'))[0]).toContain('/topup 1000');
  expect((await bot.say('/models'))[0]).toContain(SIM_MODEL);
  expect((await bot.say('/models nothing-like-it'))[0]).toContain('No model here');
  expect((await bot.say(`/model ${SIM_MODEL}`))[0]).toContain('From now on');
  expect((await bot.say('/price'))[0]).toMatch(/costs 138 sat\.$/);
});

test('a message is charged once, however often and by how many relays it comes, also to the next process', async () => {
  const bot = await newChat();
  await bot.say(ecash(500, 'first'));
  const question = bot.message('how much');
  const replies = await Promise.all([
    bot.say(question),
    bot.say({ ...question, from: ['wss://other.test'] }),
  ]);
  expect(replies.flat().filter((text) => COST.test(text)).length).toBeGreaterThan(0);
  const left = bot.balance();
  expect(await bot.say(question)).toEqual([]);
  await bot.restart();
  const [again] = await bot.say(question);
  expect(again).toContain('seen this message before');
  expect([bot.balance(), bot.model.requests.length]).toEqual([left, 1]);
});

test('money is taken however late it comes; a question of an hour ago expires, and an old order is dropped', async () => {
  const bot = await newChat();
  const days = (n: number) => unixSeconds(bot.clock) - n * 86_400;
  const late = bot.message(ecash(50, 'late'), { createdAt: days(3) - 60 });
  expect(await bot.say(late)).toEqual(['Received: 50 sat. Your balance is 50 sat.']);
  const hour = unixSeconds(bot.clock) - LIMITS.chat.promptSecondsMax - 1;
  expect((await bot.say(bot.message('old', { createdAt: hour })))[0]).toContain(
    'expired and was not charged',
  );
  expect(await bot.say(bot.message('/balance', { createdAt: days(4) }))).toEqual([]);
  expect(await bot.say(bot.message('soon', { createdAt: unixSeconds(bot.clock) + 1_000 }))).toEqual([]);
  expect(bot.balance()).toBe(50_000);
});

test('the same token pays in once, whoever sends it, and a refused one stays its owner’s', async () => {
  const bot = await newChat();
  await bot.say(ecash(50, 'first'));
  expect((await bot.say(ecash(50, 'first')))[0]).toContain('paid in before');
  const thief = bot.message(ecash(50, 'first'), { sender: BOB });
  expect((await bot.say(thief))[0]).toContain('not credited');
  bot.wallet.answers.push(refuses);
  expect((await bot.say(ecash(9, 'refused')))[0]).toContain('not credited');
  expect((await bot.say(`${ecash(9, 'refused')} and ${ecash(8, 'other')}`))[0]?.split('\n')).toHaveLength(2);
  expect([bot.balance(), bot.balance(BOB)]).toEqual([67_000, 0]);
});

test('a refund that no relay takes is told by the next process: the same token, once', async () => {
  const bot = await newChat();
  await bot.say(ecash(50, 'first'));
  bot.deafen(true);
  const order = bot.message('/refund 20');
  expect(await bot.say(order)).toEqual([]);
  expect(bot.balance()).toBe(30_000);
  await bot.restart();
  bot.deafen(false);
  await bot.clock.advance(LIMITS.chat.refundRetryMs);
  await until('the token is told', async () => {
    await bot.clock.advance(LIMITS.chat.lookMs);
    return bot.told.some(({ text }) => text.startsWith('cashu'));
  });
  const tokens = (): string[] =>
    bot.told.filter(({ text }) => text.startsWith('cashu')).map(({ text }) => text);
  await bot.say(order);
  await bot.clock.advance(LIMITS.chat.refundRetryMs * 2);
  expect(new Set(tokens()).size).toBe(1);
  expect(bot.balance()).toBe(30_000);
  expect(bot.running.ledger.totals().drift).toBe(0);
});

test.each([
  [LIMITS.chat.refundSeconds - 86_400, 1],
  [LIMITS.idempotency.keepSeconds + 86_400, 0],
])(
  'of a refund that no relay took for %d s %d tokens are told, and none is made again',
  async (seconds, told) => {
    const bot = await newChat();
    await bot.say(ecash(50, 'first'));
    bot.deafen(true);
    await bot.say('/refund');
    expect(bot.balance()).toBe(0);
    await bot.clock.advance(seconds * 1_000);
    bot.deafen(false);
    await bot.say(ecash(7, 'later'));
    await bot.restart();
    for (let i = 0; i < 20; i += 1) {
      await bot.clock.advance(LIMITS.chat.lookMs);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(bot.told.filter(({ text }) => text.startsWith('cashu'))).toHaveLength(told);
    expect(bot.balance()).toBe(7_000);
  },
);

test('a refund whose mint is slow arrives as soon as it is made', async () => {
  const bot = await newChat();
  await bot.say(ecash(7, 'seven'));
  for (const sats of [1, 2]) await bot.say(`/refund ${sats}`);
  let sign: () => void = () => undefined;
  const signed = new Promise<void>((resolve) => (sign = resolve));
  bot.wallet.answers.push(async (request) => {
    await signed;
    return signs(request);
  });
  bot.running.chat.start();
  const replies = bot.say('/refund 1');
  await until('told that it is slow', async () => {
    await bot.clock.advance(1_000);
    return bot.told.some(({ text }) => text.includes('mint is slow'));
  });
  await replies;
  sign();
  const before = bot.told.filter(({ text }) => text.startsWith('cashu')).length;
  await until('the token came', async () => {
    await bot.clock.advance(LIMITS.chat.refundRetryMs);
    return bot.told.filter(({ text }) => text.startsWith('cashu')).length === before + 1;
  });
  expect(bot.balance()).toBe(3_000);
});

test('a token at a slow mint is credited once, and told when it is, also by the next process', async () => {
  const bot = await newChat();
  let sign: () => void = () => undefined;
  const signed = new Promise<void>((resolve) => (sign = resolve));
  bot.wallet.answers.push(async (request) => {
    await signed;
    return signs(request);
  });
  const replies = bot.say(ecash(40, 'slow'));
  await until('told that it is slow', async () => {
    await bot.clock.advance(1_000);
    return bot.told.some(({ text }) => text.includes('mint is slow'));
  });
  await replies;
  expect(bot.balance()).toBe(0);
  sign();
  await bot.restart();
  await until('told that it came', async () => {
    await bot.clock.advance(LIMITS.chat.lookMs);
    return bot.told.some(({ text }) => text === 'Your token arrived. Your balance is 40 sat.');
  });
  expect([bot.balance(), bot.told.length]).toEqual([40_000, 2]);
});

test('/stop ends an answer: what was made is kept and paid', async () => {
  const bot = await newChat();
  await bot.say(ecash(5_000, 'first'));
  bot.model.chunkDelay(30);
  const words = Array.from({ length: 40 }, (_, i) => `word${i}`).join(' ');
  const answer = bot.say(words);
  await until('it began', () => bot.model.requests.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await bot.say('/stop');
  const [text] = await answer;
  expect(text).toMatch(/\(stopped\)\n\n— cost/);
  expect(text?.length).toBeLessThan(words.length);
  expect(bot.running.ledger.account(accountOfPubkey(ALICE))?.held).toBe(0);
  expect((await bot.say('/stop'))[0]).toBe('There is nothing to stop.');
});

test('who has never paid is told how to, a few times an hour, and others do not suffer from it', async () => {
  const bot = await newChat();
  const [first] = await bot.say('hello?');
  expect(first).toContain('You have no balance here yet');
  const replies: string[] = [];
  for (let i = 0; i < 30; i++) replies.push(...(await bot.say(`hello ${i}?`)));
  expect(replies).toHaveLength(LIMITS.chat.strangerBurst - 1);
  for (let i = 0; i < 300; i++)
    await bot.say(bot.message('/help', { sender: i.toString(16).padStart(64, '0') }));
  expect(bot.told.length).toBeLessThanOrEqual(LIMITS.chat.strangersBurst);
  await bot.clock.advance(60_000);
  expect((await bot.say(bot.message(ecash(50, 'bob'), { sender: BOB })))[0]).toContain('Received');
  expect((await bot.say(bot.message('hi', { sender: BOB })))[0]).toMatch(COST);
  expect(bot.model.requests).toHaveLength(1);
});

test('junk that looks like tokens is told a few times only, and a good token is taken even then', async () => {
  const bot = await newChat();
  const replies: string[] = [];
  for (let i = 0; i < 40; i++) replies.push(...(await bot.say(`cashuB${'x'.repeat(40)}${i}`)));
  expect(replies).toHaveLength(LIMITS.chat.strangerBurst);
  expect(await bot.say(ecash(50, 'good'))).toEqual([]);
  expect(bot.balance()).toBe(50_000);
});

test('tokens that are pasted while a slow answer is made all wait their turn, and are all taken', async () => {
  const bot = await newChat();
  await bot.say(ecash(5_000, 'first'));
  bot.model.pause();
  const slow = bot.say('one two');
  await until('it began', () => bot.model.requests.length === 1);
  const pasted = Array.from({ length: 30 }, (_, i) => bot.say(ecash(10, `pasted ${i}`)));
  await new Promise((resolve) => setTimeout(resolve, 20));
  bot.model.resume();
  await Promise.all([slow, ...pasted]);
  const { cost } = costOf(bot.told.find(({ text }) => COST.test(text))?.text);
  expect(bot.balance()).toBe(5_300_000 - cost);
});

test('a token for which there is no room is not taken, its sender hears of it, and it is good when it comes again', async () => {
  const bot = await newChat();
  await bot.say(ecash(5_000, 'first'));
  bot.model.pause();
  const slow = bot.say('one two');
  await until('it began', () => bot.model.requests.length === 1);
  const many = LIMITS.chat.moneyWaitingMax + 3;
  const messages = Array.from({ length: many }, (_, i) => bot.message(ecash(10, `many ${i}`)));
  const before = bot.told.length;
  const answers = messages.map((message) => bot.say(message));
  await until('refused', () => bot.told.length > before);
  expect(bot.told.slice(before).map(({ text }) => text)).toEqual([expect.stringContaining('not taken')]);
  bot.model.resume();
  await Promise.all([slow, ...answers]);
  const missing = bot.balance();
  for (const message of messages.slice(-4)) await bot.say(message);
  expect(bot.balance()).toBe(missing + 40_000);
  for (const message of messages) await bot.say(message);
  expect(bot.balance()).toBe(missing + 40_000);
});

test('of a token that was not taken while its mint was away its owner hears, however much was sent before', async () => {
  const bot = await newChat();
  for (let i = 0; i < 40; i++) await bot.say(`cashuB${'x'.repeat(40)}${i}`);
  const { planReceive } = bot.wallet;
  bot.wallet.planReceive = () => Promise.reject(new NodeError('mint_unreachable', 'The mint is away.'));
  expect(await bot.say(ecash(50, 'good'))).toEqual([expect.stringContaining('was not credited')]);
  bot.wallet.planReceive = planReceive;
  await bot.say(ecash(50, 'good'));
  expect(bot.balance()).toBe(50_000);
});

test('of more tokens than one message may have the rest is named', async () => {
  const bot = await newChat();
  const tokens = Array.from({ length: LIMITS.chat.tokensMax + 2 }, (_, i) => ecash(10, `one of many ${i}`));
  const [text] = await bot.say(tokens.join(' '));
  expect(text).toContain('2 more were not taken');
  expect(bot.balance()).toBe(LIMITS.chat.tokensMax * 10_000);
});

test('a balance that does not cover the question is told in numbers, and nothing is charged', async () => {
  const bot = await newChat();
  await bot.say(ecash(1, 'first'));
  const [text] = await bot.say('x '.repeat(2_000));
  expect(text).toMatch(/too small, and nothing was charged\. It takes [\d.]+ sat; you have 1 sat/);
  expect(bot.balance()).toBe(1_000);
});

test('an AI server that fails before its answer costs nothing, and one that breaks off only what it gave', async () => {
  const bot = await newChat();
  await bot.say(ecash(5_000, 'first'));
  bot.model.failNext('status-500');
  const [failed] = await bot.say('one');
  expect(failed).not.toMatch(COST);
  expect(bot.balance()).toBe(5_000_000);
  bot.model.failNext('cut');
  const [broken] = await bot.say('one two three four five six');
  expect(broken).toMatch(COST);
  expect(costOf(broken).left).toBe(bot.balance());
});

test('one event that the AI server broke costs one event, not the answer', async () => {
  const said = (content: string): string =>
    `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;
  async function* chunks() {
    yield await Promise.resolve(Buffer.from(`${said('one ')}data: {"choices":[{"del\n\n${said('three')}`));
  }
  const receipt = { cost: { total: 5 }, balance: 7 };
  const serve = () =>
    Promise.resolve({
      chunks: chunks(),
      receipt: Promise.resolve(receipt),
      [Symbol.asyncDispose]: async () => {},
    });
  const turn = { id: 'a', model: 'm', system: undefined, turns: [], prompt: 'x', stop: newCancel() };
  const answer = await takeTurn(serve as unknown as Gateway['serve'], {
    ...turn,
    credential: credentialOf(ALICE),
  });
  expect(answer).toMatchObject({ text: 'one three', receipt, failure: undefined });
});

test('a disk that takes nothing for a while does not end the looking after what is pending', async () => {
  const one = { sender: ALICE, from: [], at: unixSeconds(systemClock), kind: 'topup', operation: 'gone' };
  let value = JSON.stringify([
    { ...one, id: 'a' },
    { ...one, id: 'b' },
  ]);
  let failures = 0;
  const chat = createChat({
    gateway: {
      lightning: { status: () => Promise.reject(new NodeError('invoice_not_found', 'gone')) },
    } as unknown as Gateway,
    models: () => [],
    tell: () => Promise.resolve(true),
    store: {
      get: () => value,
      put: (_key, next) => {
        if (failures++ < 1) return Promise.reject(new Error('disk full'));
        value = next;
        return Promise.resolve();
      },
    },
    clock: { ...systemClock, sleep: () => systemClock.sleep(1) },
    log: silentLogger,
  });
  chat.start();
  onTestFinished(() => chat.stop());
  await until('nothing is pending', () => value === '[]');
});

test('nothing of what people say, and no token, is logged', async () => {
  const bot = await newChat();
  const secret = ecash(50, 'CANARY');
  await bot.say(secret);
  await bot.say('CANARY in a question');
  await bot.say('/system CANARY');
  bot.wallet.answers.push(() => Promise.reject(new Error('CANARY')));
  const refund = (await bot.say('/refund')).at(-1) ?? '';
  const logged = JSON.stringify(bot.log);
  for (const text of ['CANARY', secret, refund]) expect(logged).not.toContain(text);
});

test('commands are read as people write them', () => {
  expect(readChat('/TopUp 1000 sats')).toEqual({ kind: 'topup', sats: 1_000 });
  expect(readChat('  /models  gpt ')).toEqual({ kind: 'models', text: 'gpt' });
  expect(readChat('/refund')).toEqual({ kind: 'refund', sats: undefined });
  expect(readChat('what does /help do?')).toEqual({ kind: 'prompt', text: 'what does /help do?' });
  expect(readChat('I like cashuA and cashuB')).toMatchObject({ kind: 'prompt' });
  expect(readChat(`cashu:cashuB${'a'.repeat(40)}`)).toMatchObject({ kind: 'deposit' });
  expect(readChat(`/topup cashuA${'a'.repeat(40)}`)).toMatchObject({ kind: 'deposit' });
});

test('amounts are exact, and long texts are cut between words or characters', () => {
  expect([0, 345, 1_000, 12_345, 12_300, 1_000_000].map(amount)).toEqual([
    '0 sat',
    '345 msat',
    '1 sat',
    '12.345 sat',
    '12.3 sat',
    '1000 sat',
  ]);
  const text = 'täglich frische Brötchen 🥐 '.repeat(2_000);
  const parts = cut(text, 1_000);
  for (const part of parts) expect(Buffer.byteLength(part)).toBeLessThanOrEqual(1_000);
  expect(parts.join(' ').replaceAll(/\s+/g, ' ').trim()).toBe(text.trim());
  expect(cut('🥐'.repeat(1_000), 1_001).join('')).toBe('🥐'.repeat(1_000));
});
