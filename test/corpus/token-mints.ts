/** Section T, second half: what becomes of a token at its mint. */
import { createBuyer } from '../../src/demo/buyer.ts';
import { bearer } from '../e2e/support.ts';
import { type Case, type Row, type Stage, tokenA, tokenB } from './kit.ts';
import {
  INVALID,
  UNTRUSTED,
  cbor,
  create,
  created,
  fields,
  locked,
  ofMint,
  refused,
  spoilt,
} from './token-cases.ts';

export const TOKENS_AT_MINTS: readonly Row[] = [
  {
    id: 'T13',
    says: 'A mint that is not listed is never dialled.',
    cases: [
      ...[
        'http://169.254.169.254/latest',
        'file:///etc/passwd',
        'javascript:1',
        'http://[::ffff:7f00:1]',
        'http://127.0.0.1:6379',
      ].map((mint) => refused(mint, ofMint(mint), ...UNTRUSTED)),
      refused(
        'a listener here',
        ofMint((s) => `http://127.0.0.1:${s.trap.port}`),
        ...UNTRUSTED,
      ),
    ],
  },
  {
    id: 'T14',
    says: 'A listed mint is recognised in any spelling that means the same, and in no other.',
    cases: [
      created(
        'capitals and a slash',
        ofMint((s) => `${s.world.mint.url.toUpperCase()}/`),
        [200],
        'money',
      ),
      refused(
        'userinfo',
        ofMint((s) => s.world.mint.url.replace('//', '//user:pw@')),
        ...UNTRUSTED,
      ),
      refused(
        'another path',
        ofMint((s) => `${s.world.mint.url}/x/../y`),
        ...UNTRUSTED,
      ),
      refused(
        'a query',
        ofMint((s) => `${s.world.mint.url}?a`),
        ...UNTRUSTED,
      ),
      refused('a homograph', ofMint('https://m\u0131nt.test'), ...UNTRUSTED),
      refused(
        'the name in front of another',
        ofMint((s) => `${s.world.mint.url}.evil.test`),
        ...UNTRUSTED,
      ),
    ],
  },
  {
    id: 'T15',
    says: 'A keyset that the mint does not have is unknown; a short id is the long one.',
    cases: [
      ...['00ffffffffffffff', 'zz', '', undefined].map((id) =>
        refused(
          String(id),
          spoilt(() => ({ id })),
          400,
          'unknown_keyset',
        ),
      ),
      created('a short id', (s) => s.token(10), [200], 'money'),
    ],
  },
  {
    id: 'T16',
    says: 'A signature is a point, and a secret is a text.',
    cases: [
      ...['', `02${'f'.repeat(64)}`, '00', `04${'11'.repeat(64)}`].map((C) =>
        refused(
          `C ${C}`,
          spoilt(() => ({ C })),
          ...INVALID,
        ),
      ),
      refused(
        'an empty secret',
        spoilt(() => ({ secret: '' })),
        ...INVALID,
      ),
    ],
  },
  {
    id: 'T17',
    says: 'Locked proofs are not ours to open.',
    cases: [
      refused('P2PK', locked('P2PK'), 400, 'locked_token'),
      refused('P2PK until later', locked('P2PK', [['locktime', '4102444800']]), 400, 'locked_token'),
      refused('P2PK until long ago', locked('P2PK', [['locktime', '1']]), 400, 'locked_token'),
      refused('HTLC', locked('HTLC'), 400, 'locked_token'),
      refused('a kind of the future', locked('NEW'), 400, 'locked_token'),
    ],
  },
  {
    id: 'T18',
    says: 'What was spent elsewhere does not pay.',
    cases: [
      created('spent', spentElsewhere, [400, 'token_already_spent'], 'intent'),
      {
        what: 'spent, as a bearer: a dead key',
        ask: async (s) => s.get('/v1/wallet/info', bearer(await spentElsewhere(s))),
        expected: [401, 'invalid_api_key'],
        moves: 'intent',
      },
      {
        what: 'spent and unspent together; the unspent one alone is not called spent',
        ask: async (s) => {
          const [gone, good] = [await s.parts(4), await s.parts(2)];
          await (await createBuyer({ mintUrl: s.world.mint.url })).receive(tokenB(gone));
          const mixed = await create(s, tokenB({ ...gone, proofs: [...gone.proofs, ...good.proofs] }));
          if (mixed.json.error.code !== 'token_already_spent') throw new Error('the spent one was taken');
          return create(s, tokenB(good));
        },
        expected: [409, 'token_already_claimed'],
        moves: 'intent',
      },
      {
        what: 'spent, for the second time: the mint is not asked again',
        ask: async (s) => {
          const token = await spentElsewhere(s);
          await create(s, token);
          const { requests } = s.world.mint.stats;
          const asked = JSON.stringify(requests);
          const again = await create(s, token);
          if (JSON.stringify(requests) !== asked) throw new Error('the mint was asked again');
          return again;
        },
        expected: [400, 'token_already_spent'],
        moves: 'intent',
      },
    ],
  },
  {
    id: 'T19',
    says: 'Whoever knows the proofs of a key, in another text, does not have the key.',
    cases: [
      {
        what: 'version A of what became a key as version B',
        ask: async (s) => {
          const parts = await s.parts(6);
          await create(s, tokenB(parts));
          return s.get('/v1/wallet/info', bearer(s.secret(tokenA(fields(parts)))));
        },
        expected: [409, 'token_already_claimed'],
        moves: 'money',
      },
    ],
  },
  {
    id: 'T20',
    says: 'A token that the fee of its mint would eat stays untouched.',
    cases: [
      refused('1 sat, fee 1 sat', (s) => s.mints.dear.issue(1), 422, 'cashu_token_swap_fees_exceed_amount'),
    ],
  },
  {
    id: 'T21',
    says: 'CBOR that is no token is refused.',
    cases: [
      '9bffffffffffffffff',
      '5b00000001000000000000',
      'bb0000000100000000',
      '81'.repeat(20_000),
      'c1c1c1c11a00',
      '9fff',
      'bfff',
      'f97e00',
      'f6',
    ].map((hex) => refused(hex.slice(0, 20), cbor(hex), ...INVALID)),
  },
  {
    id: 'T22',
    says: 'So is JSON that is no token.',
    cases: [
      refused('20,000 levels', tokenA('['.repeat(20_000) + ']'.repeat(20_000)), ...INVALID),
      refused(
        '__proto__',
        async (s) => tokenA(`{"__proto__":${JSON.stringify(fields(await s.parts(1)))}}`),
        ...INVALID,
      ),
    ],
  },
  {
    id: 'T23',
    says: 'A mint that does not answer leaves the token untouched, and says when to come back.',
    cases: [
      later('away', ({ mints }) => mints.away, 'mint_unreachable'),
      later('busy', ({ mints }) => mints.busy.url, 'mint_rate_limited'),
    ],
  },
  {
    id: 'T24',
    says: 'A token in the address is used only where old clients send it.',
    cases: [
      {
        what: 'GET an account',
        ask: async (s) => s.get(`/v1/wallet/info?cashu_token=${await s.token(2)}`),
        expected: [400, 'credentials_in_url'],
      },
      {
        what: 'GET a new key, as old clients do',
        ask: async (s) => s.get(`/v1/wallet/create?initial_balance_token=${await s.token(2)}`),
        expected: [200],
        moves: 'money',
      },
    ],
  },
];

async function spentElsewhere(s: Stage): Promise<string> {
  const token = await s.token(10);
  await (await createBuyer({ mintUrl: s.world.mint.url })).receive(token);
  return token;
}

function later(what: string, mint: (s: Stage) => string, code: string): Case {
  return {
    ...refused(what, ofMint(mint), 503, code),
    check: ({ header }) => {
      if (!(Number(header('retry-after')) >= 1)) throw new Error('no Retry-After');
    },
  };
}
