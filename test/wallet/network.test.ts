import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodePaymentRequest } from '@cashu/cashu-ts';
import { afterEach, expect, test } from 'vitest';
import { isPrivateAddress } from '../../src/base/address.ts';
import { silentLogger } from '../../src/base/log.ts';
import { msat, type Unit } from '../../src/base/money.ts';
import { createTestMint } from '../../src/demo/mint.ts';
import { createWallet } from '../../src/wallet/cashu.ts';
import { normaliseMintUrl } from '../../src/wallet/mint-url.ts';
import type { Wallet } from '../../src/wallet/wallet.ts';
import { type LogLine, recordingLogger, SEED, testClock } from './harness.ts';

const wallets: Wallet[] = [];
afterEach(async () => {
  await Promise.all(wallets.splice(0).map((wallet) => wallet.close()));
});
function walletOf(
  mints: { url: string; unit: Unit; allowPrivate: boolean }[],
  lines: LogLine[] = [],
  clock = testClock(),
): Wallet {
  const wallet = createWallet({ mints, seed: SEED, clock, log: recordingLogger(lines) });
  wallets.push(wallet);
  return wallet;
}

test.each([
  '127.0.0.1',
  '10.1.2.3',
  '172.16.0.1',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '0.0.0.0',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:8.8.8.8',
  '64:ff9b::7f00:1',
  '2002:7f00:1::',
  'fe80::1',
  'fd00::1',
  'ff02::1',
  'not an address',
])('%s is not dialled', (address) => {
  expect(isPrivateAddress(address)).toBe(true);
});

test.each(['8.8.8.8', '1.1.1.1', '172.32.0.1', '2606:4700::1111', '2a00:1450:4001:81b::200e'])(
  '%s is public',
  (address) => {
    expect(isPrivateAddress(address)).toBe(false);
  },
);

test.each([
  'https://localhost',
  'https://127.0.0.1',
  'https://[::1]',
  'https://2130706433',
  'https://0x7f.1',
])('%s is refused at connect although it is listed', async (base) => {
  let dialled = 0;
  const server = createServer().on('connection', () => (dialled += 1));
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const { port } = server.address() as AddressInfo;
  const lines: LogLine[] = [];
  const wallet = walletOf([{ url: `${base}:${port}`, unit: 'sat', allowPrivate: false }], lines);
  await wallet.start();
  await expect(wallet.activeKeyset(normaliseMintUrl(`${base}:${port}`), 'sat')).rejects.toMatchObject({
    code: 'mint_unreachable',
  });
  expect(dialled).toBe(0);
  expect(lines.filter(({ fields }) => fields?.['reason'] === 'private_address').length).toBeGreaterThan(0);
  await new Promise((resolve) => server.close(resolve));
});

test('plain http is for private mints only', () => {
  expect(() => walletOf([{ url: 'http://mint.test', unit: 'sat', allowPrivate: false }])).toThrow(/https/);
});

test('a mint that is down when the wallet starts is used when it comes up', async () => {
  const down = await createTestMint();
  const port = Number(new URL(down.url).port);
  const token = await down.issue(4);
  await down.close();
  const lines: LogLine[] = [];
  const clock = testClock();
  const wallet = walletOf([{ url: down.url, unit: 'sat', allowPrivate: true }], lines, clock);
  await wallet.start();
  expect(lines.map(({ event }) => event)).toContain('wallet.mint.unreachable');
  expect(wallet.mints()).toEqual([{ url: down.url, unit: 'sat', reachable: false, quarantined: false }]);
  const info = wallet.inspect(token);
  await expect(wallet.planReceive(info)).rejects.toMatchObject({ code: 'mint_unreachable' });
  const up = await createTestMint({ port });
  clock.advance(15_000); // The breaker opened after three failures.
  expect(await wallet.activeKeyset(up.url, 'sat')).toMatchObject({ keyset: up.keyset() });
  await up.close();
});

test('requests for payment name amount, fee room and the mints that are taken', async () => {
  const [cheap, dear] = [await createTestMint(), await createTestMint({ feePpk: 100 })];
  const wallet = walletOf([cheap, dear].map(({ url }) => ({ url, unit: 'sat', allowPrivate: true })));
  await wallet.start();
  const request = decodePaymentRequest(wallet.paymentRequest(msat(1_001)));
  expect(request.amount?.toNumber()).toBe(2 + 2); // 1.001 sat round up to 2; 16 proofs at 100 ppk round up to 2.
  expect(request).toMatchObject({ unit: 'sat', mints: [cheap.url, dear.url] });
  expect(request.transport).toBeUndefined();
  await Promise.all([cheap.close(), dear.close()]);
});

test('a keyset whose keys do not match its id is not used', async () => {
  const lines: LogLine[] = [];
  const id = '01'.repeat(33);
  const keyset = { id, unit: 'sat', active: true, input_fee_ppk: 0 };
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    const keys = { 1: '02'.padEnd(66, 'a') };
    response.end(JSON.stringify({ keysets: [request.url === '/v1/keys' ? { ...keyset, keys } : keyset] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const wallet = walletOf([{ url, unit: 'sat', allowPrivate: true }], lines);
  await wallet.start();
  expect(lines.map(({ event }) => event)).toContain('wallet.keyset.unverified');
  await expect(wallet.activeKeyset(url, 'sat')).rejects.toMatchObject({ code: 'mint_unreachable' });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('a closed wallet answers "not known" and leaves nothing running', async () => {
  const mint = await createTestMint();
  const wallet = createWallet({
    mints: [{ url: mint.url, unit: 'sat', allowPrivate: true }],
    seed: SEED,
    clock: testClock(),
    log: silentLogger,
  });
  const info = wallet.inspect(await mint.issue(2));
  const { keyset, amounts, inputs } = await wallet.planReceive(info);
  mint.failNext('hang', { path: '/v1/swap' });
  const request = {
    mint: mint.url,
    unit: 'sat',
    inputs,
    plan: { keyset, counter: 0, amounts },
    firstAttempt: true,
  } as const;
  const swap = wallet.swap(request);
  await wallet.close();
  expect(await swap).toEqual({ outcome: 'unresolved' });
  expect(await wallet.swap(request)).toEqual({ outcome: 'unresolved' });
  await mint.close();
});
