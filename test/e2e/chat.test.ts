/** A whole node, a relay, and people who write to it from a stock NIP-17 app. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createBuyer } from '../../src/demo/buyer.ts';
import { createTestRelay } from '../../src/demo/relay.ts';
import { verifyEvent } from '../../src/relay/event.ts';
import { pubkeyOf } from '../../src/relay/key.ts';
import { type NostrApp, nostrApp } from './nostr-app.ts';
import { signed } from './signed.ts';
import { type TestWorld, testWorld, until } from './support.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await testWorld({ mint: { dleq: false, autoPay: false } });
});
afterAll(() => world.close());

const COST = /\n\n— cost [\d.]+ m?sat, left [\d.]+ m?sat · demo\/echo$/;

async function person(secret?: Uint8Array): Promise<NostrApp> {
  const app = await nostrApp(world.relay.url, pubkeyOf(world.node.npub) ?? '', secret);
  onTestFinished(() => app.close());
  return app;
}
const balanceOver = async (app: NostrApp): Promise<number> => {
  const url = `${world.url}/v1/wallet/info`;
  return (await world.get('/v1/wallet/info', signed(app.secret, { url }))).json.balance as number;
};

test('a person pays with a token, asks, and takes the rest back, all in messages', async () => {
  const app = await person();
  expect((await app.say('hello?'))[0]).toContain('You have no balance here yet');
  const paid = await world.mint.issue(500);
  await app.say(paid);
  await until('credited', async () => (await balanceOver(app)) === 500_000);
  const [answer] = await app.say('one two three');
  expect(answer).toMatch(/^one two three/);
  expect(answer).toMatch(COST);
  expect((await app.say('/models'))[0]).toContain('demo/echo-large');

  // The same account over HTTP, for the same key.
  const left = await balanceOver(app);
  expect(left).toBeLessThan(500_000);
  expect((await app.say('/balance'))[0]).toContain(`${left / 1000} sat`);

  const [intro, token = ''] = await app.say('/refund', 2);
  expect(intro).toMatch(/^Here are \d+ sat/);
  const buyer = await createBuyer({ mintUrl: world.mint.url });
  expect(await buyer.receive(token)).toBe(Math.floor(left / 1000));
  expect(world.node.totals().drift).toBe(0);
  const logged = world.logged();
  for (const secret of [paid, token, 'one two three']) expect(logged).not.toContain(secret);
});

test('an answer names the message that it answers, in a wrap that relays keep', async () => {
  const app = await person();
  const wrap = app.wrap('/help');
  await app.publish(wrap);
  await until('an answer', () => app.heard.length === 1);
  const [answer] = app.heard;
  expect(answer).toMatchObject({ kind: 14, pubkey: pubkeyOf(world.node.npub) });
  expect(answer?.tags).toContainEqual(['p', app.pubkey]);
  expect(answer?.tags.find(([name]) => name === 'e')?.[1]).toMatch(/^[0-9a-f]{64}$/);
  app.close();
  const later = await person(app.secret);
  await until('it is still there', () => later.heard.length === 1);
});

test('an invoice that is asked for is credited, and told when it is paid', async () => {
  const app = await person();
  const [intro, invoice = ''] = await app.say('/topup 21', 2);
  expect(intro).toContain('21 sat');
  expect(invoice).toMatch(/^lnbc/);
  world.mint.payQuote(invoice);
  await until('told', () =>
    app.heard.some(({ content }) => content.includes('Your invoice is paid: 21 sat')),
  );
  expect(await balanceOver(app)).toBe(21_000);
});

test('the same wrap again, and again after a restart, is answered and charged once', async () => {
  const app = await person();
  await app.say(await world.mint.issue(100));
  await until('credited', async () => (await balanceOver(app)) === 100_000);
  const question = app.wrap('how often');
  await app.publish(question);
  await until('answered', () => app.heard.some(({ content }) => COST.test(content)));
  const left = await balanceOver(app);
  await world.node.stop();
  const node = world.reopen();
  await node.start();
  // The relay sends all that it has stored; /help comes after it.
  await until('the next process listens', async () => {
    await app.say('/help');
    return true;
  });
  expect(await balanceOver(app)).toBe(left);
  expect(app.heard.filter(({ content }) => COST.test(content))).toHaveLength(1);
  const received = app.heard.filter(({ content }) => /^(?:Received|Your token arrived)/.test(content));
  expect(received).toHaveLength(1);
  expect(node.totals().drift).toBe(0);
});

test('a relay that a stranger names is never contacted', async () => {
  const foreign = await createTestRelay({ verify: (event) => verifyEvent(event) !== undefined });
  onTestFinished(() => foreign.close());
  const app = await person();
  await app.publish(app.sign(10_050, [['relay', foreign.url]]));
  expect((await app.say('/help'))[0]).toContain('/topup');
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(foreign.accepted()).toBe(0);
});
