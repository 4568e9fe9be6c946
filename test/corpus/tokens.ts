/** Section T, first half: what a token says of itself. */
import type { Token } from '@cashu/cashu-ts';
import { type Row, tokenA, tokenB } from './kit.ts';
import { INVALID, type Proof, amount, create, created, fields, refused, spoilt } from './token-cases.ts';

export const TOKENS: readonly Row[] = [
  {
    id: 'T1',
    says: 'A text that only begins like a token is none.',
    cases: [
      created('empty', '', [...INVALID]),
      ...['cashuA', 'cashuB', 'cashuC', 'cashuB$$$', 'cashuB====', tokenA({}), tokenA({ token: [] })].map(
        (text) => refused(text, text, ...INVALID),
      ),
      refused('another version', async (s) => (await s.token(4)).replace('cashuB', 'cashuC'), ...INVALID),
      refused('cut off', async (s) => (await s.token(4)).slice(0, -20), ...INVALID),
    ],
  },
  {
    id: 'T2',
    says: 'A proof with another secret is refused by the mint; the true one still pays.',
    cases: [
      created(
        'one letter of a secret',
        spoilt(({ secret }) => ({ secret: `${secret.slice(0, -1)}${secret.endsWith('0') ? '1' : '0'}` })),
        [...INVALID],
        'intent',
      ),
      {
        what: 'the true one afterwards',
        ask: async (s) => {
          const parts = await s.parts(10);
          const bad = tokenA(fields(parts, {}, ({ secret }) => ({ secret: `${secret}0` })));
          const first = await create(s, bad);
          if (first.status !== 400) throw new Error('the false one was taken');
          return create(s, tokenB(parts));
        },
        expected: [200],
        moves: 'money',
      },
    ],
  },
  {
    id: 'T3',
    says: 'URI schemes and surrounding space carry no meaning.',
    cases: ['cashu:', 'cashu://', 'web+cashu://', '  '].map((prefix) =>
      created(JSON.stringify(prefix), async (s) => `${prefix}${await s.token(2)} \n`, [200], 'money'),
    ),
  },
  {
    id: 'T4',
    says: 'Nothing buys nothing.',
    cases: [
      refused(
        'no proofs',
        async (s) => tokenA(fields({ ...(await s.parts(1)), proofs: [] })),
        400,
        'cashu_token_zero_value',
      ),
      refused('amounts of 0', amount('0'), 400, 'cashu_token_zero_value'),
    ],
  },
  {
    id: 'T5',
    says: 'An amount is a whole number.',
    cases: ['-8', '1.5', 'null', '1e400', 'true'].map((text) => refused(text, amount(text), ...INVALID)),
  },
  {
    id: 'T6',
    says: 'An amount is one for which the mint has a key.',
    cases: [
      refused('3', amount('3'), ...INVALID),
      refused('text', amount('"8"'), ...INVALID),
      refused('2^53 + 1', amount('9007199254740993'), ...INVALID),
    ],
  },
  {
    id: 'T7',
    says: 'One payment is worth at most a million sats.',
    cases: [refused('2^20 sats', amount(String(2 ** 20)), 400, 'token_too_large')],
  },
  {
    id: 'T8',
    says: 'A proof stands once in a token.',
    cases: [
      refused('twice', async (s) => tokenB(twice(await s.parts(8), {})), 400, 'duplicate_proofs'),
      refused(
        'twice with another signature',
        async (s) =>
          tokenB(
            twice(await s.parts(8), {
              C: `02${'79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'}`,
            }),
          ),
        400,
        'duplicate_proofs',
      ),
    ],
  },
  {
    id: 'T9',
    says: 'A token is of one mint.',
    cases: [
      refused(
        'two mints',
        async (s) => {
          const { token, unit } = fields(await s.parts(4));
          return tokenA({ token: [...token, { ...token[0], mint: s.mints.dear.url }], unit });
        },
        400,
        'multi_mint_token',
      ),
    ],
  },
  {
    id: 'T10',
    says: 'A token has at most 128 proofs.',
    cases: [129, 400].map((count) =>
      created(
        `${count} proofs`,
        (s) => s.world.mint.issue(count, { amounts: Array.from({ length: count }, () => 1) }),
        [400, 'token_too_large'],
      ),
    ),
  },
  {
    id: 'T11',
    says: 'Size is judged before anything is decoded.',
    cases: [
      created('a memo of 1 MB', async (s) => tokenA(fields(await s.parts(1), { memo: 'a'.repeat(1e6) })), [
        400,
        'token_too_large',
      ]),
      created('a unit of 1 MB', async (s) => tokenA(fields(await s.parts(1), { unit: 'a'.repeat(1e6) })), [
        400,
        'token_too_large',
      ]),
      created(
        'a secret of 1 MB',
        spoilt(() => ({ secret: 'a'.repeat(1e6) })),
        [400, 'token_too_large'],
      ),
      refused(
        'a secret of 600',
        spoilt(() => ({ secret: 'a'.repeat(600) })),
        ...INVALID,
      ),
    ],
  },
  {
    id: 'T12',
    says: 'A unit is not guessed.',
    cases: ['usd', 'msat', 'constructor', '', undefined].map((unit) =>
      refused(String(unit), async (s) => tokenA(fields(await s.parts(1), { unit })), 400, 'unsupported_unit'),
    ),
  },
];

const twice = (parts: Token, over: Partial<Proof>): Token => {
  const [first] = parts.proofs;
  if (first === undefined) throw new Error('a token has proofs');
  return { ...parts, proofs: [first, { ...first, ...over }] };
};
