import { Amount, getEncodedToken, getPubKeyFromPrivKey } from '@cashu/cashu-ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { hex, sha256Hex } from '../../src/base/id.ts';
import type { Unit } from '../../src/base/money.ts';
import { createWorld, type World } from './harness.ts';
import { inspectToken } from '../../src/wallet/token.ts';

const MINT = 'https://mint.test';
const listed = new Map<string, Unit[]>([
  [MINT, ['sat', 'msat']],
  ['https://sat.test/path', ['sat']],
]);
const inspect = (token: string) => inspectToken(token, (url) => listed.get(url));

const C = hex(getPubKeyFromPrivKey(new Uint8Array(32).fill(5)));
const ID = '00ad268c4d1f5826';
const proof = (change: Record<string, unknown> = {}) => ({
  id: ID,
  amount: 8,
  secret: 'a secret',
  C,
  ...change,
});
const encodeA = (value: unknown): string =>
  `cashuA${Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')}`;
const tokenA = (proofs: unknown, change: Record<string, unknown> = {}, mint: unknown = MINT): string =>
  encodeA({ token: [{ mint, proofs }], unit: 'sat', ...change });
const tokenB = (
  proofs: { id?: string; amount?: number; secret?: string; C?: string }[],
  mint = MINT,
  unit = 'sat',
): string =>
  getEncodedToken({
    mint,
    unit,
    proofs: proofs.map((part) => {
      const { amount, ...rest } = { ...proof(), ...part };
      return { ...rest, amount: Amount.from(amount) };
    }),
  });
const cbor = (...bytes: number[]): string => `cashuB${Buffer.from(bytes).toString('base64url')}`;

function codeOf(token: string): string {
  try {
    inspect(token);
    return 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(NodeError);
    return (error as NodeError).code;
  }
}

test('a token is read without the network: mint, unit, value and identity of the money', () => {
  const proofs = [proof(), proof({ amount: 2, secret: 'b' })];
  const b = inspect(tokenB(proofs));
  expect(b).toMatchObject({ mint: MINT, unit: 'sat', face: 10_000 });
  expect(b.claims).toEqual(['a secret', 'b'].map((secret) => sha256Hex(secret).slice(0, 32)).sort());
  const a = inspect(tokenA(proofs));
  expect(a.claims).toEqual(b.claims); // The same money in another coat …
  expect(a.textHash).not.toBe(b.textHash); // … presented as another text.
  expect(JSON.stringify(a)).not.toContain('a secret');
  expect(a.proofs.reveal()).toEqual(proofs);
});

test('one proof of a token with DLEQ and memo is kept without them', () => {
  const dleq = { e: '11'.repeat(32), s: '22'.repeat(32), r: '33'.repeat(32) };
  const token = tokenA([proof({ dleq, witness: 'x' })], { memo: 'hello' });
  expect(inspect(token).proofs.reveal()).toEqual([proof()]);
});

test('a token may hold 128 proofs with all that NUT-00 gives them, each of a keyset of its own', () => {
  const dleq = { e: '11'.repeat(32), s: '22'.repeat(32), r: '33'.repeat(32) };
  const proofs = Array.from({ length: 128 }, (_, i) =>
    proof({ id: `00ad268c4d1f5${800 + i}`, secret: `s${i}`, dleq, witness: 'x' }),
  );
  expect(inspect(tokenB(proofs)).proofs.reveal()).toHaveLength(128);
});

test.each(['cashu:', 'cashu://', 'web+cashu://', 'CASHU:'])(
  'prefix %s and surrounding space change nothing',
  (prefix) => {
    const token = tokenB([{}]);
    expect(inspect(`  ${prefix}${token}\n`).textHash).toBe(inspect(token).textHash);
  },
);

test.each(['https://MINT.test/', 'HTTPS://mint.test:443', 'https://mint.test///', 'https://mint.test/x/..'])(
  '%s is another spelling of a listed mint',
  (mint) => {
    expect(inspect(tokenB([{}], mint)).mint).toBe(MINT);
  },
);

describe('what is not a token (T1, T5, T9, T16, T21, T22)', () => {
  test.each<[string, string]>([
    ['nothing', ''],
    ['space', '   '],
    ['cashuA alone', 'cashuA'],
    ['cashuB alone', 'cashuB'],
    ['another version', `cashuC${tokenB([{}]).slice(6)}`],
    ['not base64', 'cashuB!!!!'],
    ['cut off', tokenB([{}]).slice(0, -20)],
    ['an object without token', encodeA({})],
    ['no entry', encodeA({ token: [] })],
    ['proofs that are no list', tokenA('x')],
    ['a proof that is null', tokenA([null])],
    ['no mint', encodeA({ token: [{ proofs: [proof()] }], unit: 'sat' })],
    ['a negative amount', tokenA([proof({ amount: -8 })])],
    ['a fraction', tokenA([proof({ amount: 1.5 })])],
    ['amount null', tokenA([proof({ amount: null })])],
    ['amount as text', tokenA([proof({ amount: '8' })])],
    [
      'amount 1e400',
      tokenA([proof()]).replace(/^.*$/, () =>
        encodeA(
          JSON.stringify({ token: [{ mint: MINT, proofs: [proof()] }], unit: 'sat' }).replace(
            '"amount":8',
            '"amount":1e400',
          ),
        ),
      ),
    ],
    [
      'amount 2^53+1',
      encodeA(
        JSON.stringify({ token: [{ mint: MINT, proofs: [proof()] }], unit: 'sat' }).replace(
          '"amount":8',
          '"amount":9007199254740993',
        ),
      ),
    ],
    ['C empty', tokenA([proof({ C: '' })])],
    ['C missing', tokenA([proof({ C: undefined })])],
    ['C not on the curve', tokenA([proof({ C: `02${'00'.repeat(31)}05` })])],
    ['C uncompressed', tokenA([proof({ C: `04${'11'.repeat(64)}` })])],
    ['C as the point at infinity', tokenA([proof({ C: '00' })])],
    ['secret empty', tokenA([proof({ secret: '' })])],
    ['secret too long', tokenA([proof({ secret: 'x'.repeat(513) })])],
    ['secret not text', tokenA([proof({ secret: 7 })])],
    [
      'secret with half a character',
      tokenA('').replace(/^.*$/, () =>
        encodeA(
          JSON.stringify({ token: [{ mint: MINT, proofs: [proof()] }], unit: 'sat' }).replace(
            'a secret',
            '\\ud800',
          ),
        ),
      ),
    ],
    ['an id that is a number', tokenA([proof({ id: 7 })])],
    ['JSON nested 20,000 deep', encodeA('['.repeat(20_000))],
    ['__proto__', encodeA('{"__proto__":{"token":[]}}')],
    ['CBOR: an array of 2^32', cbor(0x9a, 0xff, 0xff, 0xff, 0xff)],
    ['CBOR: bytes of 2^32', cbor(0x5a, 0xff, 0xff, 0xff, 0xff)],
    ['CBOR: a map of 2^32', cbor(0xba, 0xff, 0xff, 0xff, 0xff)],
    ['CBOR: nested 40,000 deep', cbor(...new Array<number>(40_000).fill(0x81))],
    ['CBOR: a tag', cbor(0xc0, 0x00)],
    ['CBOR: indefinite', cbor(0x9f, 0x00)],
    ['CBOR: a float', cbor(0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0)],
    ['CBOR: null', cbor(0xf6)],
  ])('%s', (_name, token) => {
    expect(codeOf(token)).toBe('invalid_cashu_token');
  });

  test('two mints in one token', () => {
    const entries = [1, 2].map(() => ({ mint: MINT, proofs: [proof()] }));
    expect(codeOf(encodeA({ token: entries, unit: 'sat' }))).toBe('multi_mint_token');
  });
});

describe('what this node does not take', () => {
  test.each<[string, string, string]>([
    ['T4 no proofs', tokenA([]), 'cashu_token_zero_value'],
    ['T4 an amount of 0', tokenA([proof({ amount: 0 }), proof({ secret: 'b' })]), 'cashu_token_zero_value'],
    ['T7 too much money', tokenA([proof({ amount: 2 ** 20 })]), 'token_too_large'],
    ['T7 much too much money', tokenA([proof({ amount: 2 ** 52 })]), 'token_too_large'],
    ['T8 the same proof twice', tokenA([proof(), proof()]), 'duplicate_proofs'],
    ['T8 one secret under two amounts', tokenA([proof(), proof({ amount: 4 })]), 'duplicate_proofs'],
    [
      'T10 129 proofs',
      tokenA(Array.from({ length: 129 }, (_, i) => proof({ secret: `s${i}` }))),
      'token_too_large',
    ],
    ['T11 a megabyte of memo', tokenA([proof()], { memo: 'x'.repeat(1_000_000) }), 'token_too_large'],
    ['T12 usd', tokenB([{}], MINT, 'usd'), 'unsupported_unit'],
    ['T12 no unit', tokenA([proof()], { unit: undefined }), 'unsupported_unit'],
    [
      'T12 a unit not listed for this mint',
      tokenB([{}], 'https://sat.test/path', 'msat'),
      'unsupported_unit',
    ],
    ['T17 P2PK', tokenA([proof({ secret: '["P2PK",{"nonce":"00","data":"02aa"}]' })]), 'locked_token'],
    ['T17 HTLC', tokenA([proof({ secret: '["HTLC",{"nonce":"00","data":"aa"}]' })]), 'locked_token'],
    [
      'T17 a kind nobody knows',
      tokenA([proof({ secret: ' ["X",{"nonce":"0","data":"1"}]' })]),
      'locked_token',
    ],
  ])('%s', (_name, token, code) => {
    expect(codeOf(token)).toBe(code);
  });

  test('a plain secret that looks a little like a lock is money', () => {
    expect(codeOf(tokenA([proof({ secret: '[not json' })]))).toBe('accepted');
  });

  test.each([
    'http://169.254.169.254/latest/meta-data',
    'http://127.0.0.1:6379',
    'http://[::ffff:7f00:1]',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'https://mint.test.',
    'https://user:pw@mint.test',
    'https://mint.test@evil.test',
    'https://mint.test:8443',
    'http://mint.test',
    'https://mint.test/?x=1',
    'https://mint.test/#x',
    'https://mint.test/%41',
    'https://mіnt.test',
    ' https://mint.test',
    'https://sat.test',
    'https://sat.test/path/deeper',
    '',
  ])('T13, T14: %s is not a listed mint', (mint) => {
    expect(codeOf(tokenA([proof()], {}, mint))).toBe('untrusted_mint');
  });

  test.each<[string, number[]]>([
    ['empty maps', [0xa0]],
    ['texts of no byte', [0x60]],
    ['endless texts, which no head can measure', [0x7f, 0x60, 0x60, 0x60]],
    ['numbers', [0x1a, 1, 2, 3, 4]],
  ])('48 kB of %s are refused before they are decoded', (_, item) => {
    const bytes = Buffer.alloc(48_000, Buffer.from(item));
    expect(() => inspect(cbor(0x99, 0xff, 0xff, ...bytes))).toThrow('it has too many parts');
  });

  test('a million bytes of junk are refused before they are decoded', () => {
    expect(codeOf('x'.repeat(1_000_000))).toBe('token_too_large');
  });
});

describe('what only the mint can tell (T6, T15, T20)', () => {
  let world: World;
  beforeAll(async () => {
    world = await createWorld({ feePpk: 100 });
  });
  afterAll(() => world[Symbol.asyncDispose]());
  const planned = async (change: Record<string, unknown>): Promise<string> => {
    const { mint, wallet } = world;
    const token = tokenA([proof({ id: mint.keyset(), ...change })], {}, mint.url);
    return wallet.planReceive(wallet.inspect(token)).then(
      () => 'accepted',
      (error: unknown) => (error as NodeError).code,
    );
  };

  test('an ordinary proof is planned', async () => {
    expect(await planned({})).toBe('accepted');
    expect(await planned({ id: world.mint.keyset().slice(0, 16) })).toBe('accepted');
    expect(await planned({ id: world.mint.keyset().toUpperCase() })).toBe('accepted');
  });
  test.each([ID, 'zz', undefined, '01', '0100000000000000', '02'.repeat(33), '../../v1/info'])(
    'keyset id %s is unknown',
    async (id) => {
      expect(await planned({ id })).toBe('unknown_keyset');
    },
  );
  test('an amount without a key is no proof', async () => {
    expect(await planned({ amount: 3 })).toBe('invalid_cashu_token');
  });
  test('a value that the fee eats is refused', async () => {
    expect(await planned({ amount: 1 })).toBe('cashu_token_swap_fees_exceed_amount');
  });
});
