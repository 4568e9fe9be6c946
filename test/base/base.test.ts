import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ERRORS, NodeError } from '../../src/base/error.ts';
import { createLogger, errorKind } from '../../src/base/log.ts';
import { msat, msatToUnitFloor, mulDivCeil, satCeil, satFloor } from '../../src/base/money.ts';
import { createSealer } from '../../src/base/seal.ts';
import { Secret } from '../../src/base/secret.ts';
import { looksLikeToken, tokenTextHash } from '../../src/base/token-text.ts';

test('money is whole: floats, NaN and what passes 2^53 are refused', () => {
  for (const bad of [0.5, NaN, Infinity, 2 ** 53]) expect(() => msat(bad)).toThrow('not a whole amount');
  expect(satFloor(msat(1_999))).toBe(1);
  expect(satCeil(msat(1_001))).toBe(2);
  expect(msatToUnitFloor(msat(1_999), 'msat')).toBe(1_999);
});

test('mulDivCeil agrees with exact arithmetic for every size', () => {
  fc.assert(
    fc.property(fc.nat(1_000_000_000), fc.nat(100_000_000), (a, b) => {
      const exact = (BigInt(a) * BigInt(b) + 999_999n) / 1_000_000n;
      fc.pre(exact <= BigInt(Number.MAX_SAFE_INTEGER));
      expect(BigInt(mulDivCeil(a, b, 1_000_000))).toBe(exact);
    }),
  );
});

test('a secret prints as nothing in every way that things are printed', () => {
  const secret = new Secret('sk-top');
  const lines: string[] = [];
  const log = createLogger({
    level: 'debug',
    destination: { write: (line: string) => void lines.push(line) },
  });
  log.info('base.secret.shown', { secret: secret as unknown as string });
  for (const text of [`${String(secret)}`, JSON.stringify({ secret }), inspect({ secret }), lines.join('')]) {
    expect(text).not.toContain('sk-top');
    expect(text).toContain('[secret]');
  }
  expect(secret.reveal()).toBe('sk-top');
});

test('an error in a log is its kind, never its message', () => {
  const error = Object.assign(new TypeError('https://mint/?token=cashuB'), { code: 'ECONNRESET' });
  expect(errorKind(error)).toBe('TypeError:ECONNRESET');
  expect(errorKind('cashuB')).toBe('string');
});

test('a sealed text opens only with its key and at its own place, and not after a flip of a bit', () => {
  const sealer = createSealer(new Uint8Array(32).fill(7));
  const sealed = sealer.seal('proofs', 'here');
  expect(sealer.open(sealed, 'here')).toBe('proofs');
  expect(() => sealer.open(sealed, 'there')).toThrow();
  expect(() => createSealer(new Uint8Array(32)).open(sealed, 'here')).toThrow();
  const bytes = Buffer.from(sealed, 'base64');
  bytes[30] = (bytes[30] ?? 0) ^ 1;
  expect(() => sealer.open(bytes.toString('base64'), 'here')).toThrow();
});

test('a token is the same credential with white space or a scheme around it', () => {
  const hash = tokenTextHash('cashuBabc');
  for (const text of [' cashuBabc\n', 'cashu:cashuBabc', 'web+cashu://cashuBabc']) {
    expect(tokenTextHash(text)).toBe(hash);
    expect(looksLikeToken(text)).toBe(true);
  }
  expect(looksLikeToken('sk-abc')).toBe(false);
});

test('only our own balance answers with 402', () => {
  const codes = Object.entries(ERRORS).filter(([, row]) => row.status === 402);
  expect(codes.map(([code]) => code).sort()).toEqual([
    'balance_limit_exceeded',
    'insufficient_balance',
    'payment_required',
  ]);
  expect(new NodeError('insufficient_balance', 'x').shouldRetry).toBe(false);
});
