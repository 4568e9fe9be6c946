/** Section A: credentials that are none, not ours, or in the wrong place. */
import { generateNsec } from '../../src/relay/key.ts';
import { bearer } from '../e2e/support.ts';
import { request } from '../e2e/wire-kit.ts';
import { type Case, type Row, type Stage, ask } from './kit.ts';

/** The node under these rows believes its proxy; requests without the header come from nobody in particular. */
export const BEHIND_PROXY = { listen: { host: '127.0.0.1', port: 0, trust_proxy: true } };

const DEAD = [401, 'invalid_api_key'] as const;
const info = (
  what: string,
  authorization: string | ((s: Stage) => string),
  ...expected: Case['expected']
): Case => ({
  what,
  ask: (s) => {
    const value = typeof authorization === 'string' ? authorization : authorization(s);
    const line = Buffer.from(request('GET /v1/wallet/info', [`authorization: ${value}`]));
    return s.bytes(line);
  },
  expected,
});
const key = (what: string, text: string): Case => info(what, `Bearer ${text}`, ...DEAD);
const get = (what: string, path: string | ((s: Stage) => string), ...expected: Case['expected']): Case => ({
  what,
  ask: (s) => s.get(typeof path === 'string' ? path : path(s)),
  expected,
});

const NSEC = generateNsec().reveal();
const UNKNOWN = `sk-${'0'.repeat(64)}`;
const GUESSER = { 'x-forwarded-for': '8.8.4.4' };

export const CREDENTIALS: readonly Row[] = [
  {
    id: 'A1',
    says: 'Without a credential an account is not named, and a paid path names its price.',
    cases: [
      {
        ...get('an account', '/v1/wallet/info', 401, 'missing_api_key'),
        check: ({ header }) => {
          if (header('www-authenticate') !== 'Bearer') throw new Error('no WWW-Authenticate');
        },
      },
      {
        what: 'a paid path',
        ask: (s) => s.post('/v1/chat/completions', ask()),
        expected: [402, 'payment_required'],
        check: ({ header }) => {
          if (header('x-cashu')?.startsWith('creqA') !== true) throw new Error('no payment request');
        },
      },
    ],
  },
  {
    id: 'A2',
    says: 'The scheme is Bearer, in any case, and one space.',
    cases: [
      info('lower case', (s) => `bearer ${s.key}`, 200),
      info('Basic', (s) => `Basic ${Buffer.from(`x:${s.key}`).toString('base64')}`, ...DEAD),
      info('two spaces', (s) => `Bearer  ${s.key}`, ...DEAD),
      info('a tab', (s) => `Bearer\t${s.key}`, ...DEAD),
      info('no scheme', (s) => s.key, ...DEAD),
    ],
  },
  {
    id: 'A3',
    says: 'What cannot be a key is not looked up.',
    cases: [
      key('too short', 'sk-12'),
      key('other letters', `sk-${'g'.repeat(64)}`),
      key('upper case', `sk-${'A'.repeat(64)}`),
      key('15 kB', `sk-${'0'.repeat(15_000)}`),
      key('emoji', 'sk-🔑'),
      info('a bare carriage return', `Bearer sk-${'0'.repeat(64)}\rx`, 400, 'bad_request'),
    ],
  },
  { id: 'A4', says: 'An unknown key is dead.', cases: [key('of the right shape', UNKNOWN)] },
  {
    id: 'A5',
    says: 'A key is data, whatever it looks like.',
    cases: ["sk-' OR 1=1--", "sk-'OR'1'='1", 'sk-../../../etc/passwd', 'sk-a!x!meta:\xff', 'sk-%00'].map(
      (text) => key(JSON.stringify(text), text),
    ),
  },
  {
    id: 'A6',
    says: 'Slips of a program are no credentials.',
    cases: ['', ' ', 'undefined', 'null', '[object Object]', 'NaN'].map((text) =>
      key(JSON.stringify(text), text),
    ),
  },
  {
    id: 'A7',
    says: 'A key in the address is not used, and its owner learns of it.',
    cases: [
      get('?api_key', (s) => `/v1/wallet/info?api_key=${s.key}`, 400, 'credentials_in_url'),
      get('?authorization', (s) => `/v1/key?authorization=Bearer%20${s.key}`, 400, 'credentials_in_url'),
      {
        what: 'on a paid path',
        ask: (s) => s.post(`/v1/chat/completions?key=${s.key}`, ask()),
        expected: [400, 'credentials_in_url'],
      },
    ],
  },
  {
    id: 'A8',
    says: 'An expired key buys nothing, and its money comes back.',
    cases: [
      {
        what: 'asks',
        ask: async (s) => {
          const { json } = await s.post('/v1/wallet/create', {
            cashu_token: await s.token(9),
            validity_date: 1,
          });
          expired = s.secret(json.api_key as string);
          return s.chat(ask(), bearer(expired));
        },
        expected: [403, 'key_expired'],
        moves: 'money',
      },
      {
        what: 'is refunded',
        ask: (s) => s.post('/v1/wallet/refund', {}, bearer(expired)),
        expected: [200],
        moves: 'money',
        check: ({ json }, s) => {
          if (json.sats !== '9') throw new Error('not all of it');
          s.secret(json.token as string);
        },
      },
    ],
  },
  {
    id: 'A9',
    says: 'A child key pays for requests and does nothing that is its parent’s to do.',
    cases: (
      [
        ['a refund', '/v1/wallet/refund', {}],
        ['a child of its own', '/v1/balance/child-key', { count: 1 }],
        ['a reset of its limit', '/v1/balance/child-key/reset', { child_key: 'ck_0123456789abcdef' }],
      ] as const
    ).map(([what, path, body]) => ({
      what,
      ask: async (s) => {
        const made = await s.post('/v1/balance/child-key', { count: 1 }, bearer(s.key));
        const child = s.secret(made.json.api_keys[0] as string);
        return s.post(path, body, bearer(child));
      },
      expected: [400, 'child_key_not_allowed'],
      moves: 'money',
    })),
  },
  {
    id: 'A10',
    says: 'What belongs to somebody else looks like what does not exist.',
    cases: [
      {
        what: 'change of a payment that was none',
        ask: async (s) => s.post('/v1/wallet/refund', {}, { 'x-cashu': await s.token(3) }),
        expected: [404, 'refund_not_found'],
      },
      {
        what: 'the refund of a token that became another key',
        ask: async (s) => {
          const token = await s.token(3);
          await s.post('/v1/wallet/create', { cashu_token: token });
          return s.post('/v1/wallet/refund', {}, { 'x-cashu': token });
        },
        expected: [404, 'refund_not_found'],
        moves: 'money',
      },
      {
        what: 'an operation',
        ask: (s) => s.get('/v1/ops/op_1', bearer(s.key)),
        expected: [404, 'not_found'],
      },
    ],
  },
  {
    id: 'A11',
    says: 'Who guesses keys is slowed down; a good key from the same place is not.',
    cases: [
      {
        what: 'twenty wrong keys in a row',
        ask: async (s) => {
          for (let i = 0; i < 20; i++) await s.get('/v1/wallet/info', { ...bearer(UNKNOWN), ...GUESSER });
          return s.get('/v1/wallet/info', { ...bearer(UNKNOWN), ...GUESSER });
        },
        expected: [429, 'rate_limited'],
        check: ({ header }) => {
          if (!(Number(header('retry-after')) >= 1)) throw new Error('no Retry-After');
        },
      },
      {
        what: 'the right key',
        ask: (s) => s.get('/v1/wallet/info', { ...bearer(s.key), ...GUESSER }),
        expected: [200],
      },
      {
        what: 'a wrong key from another place, with a forged entry before the one of the proxy',
        ask: (s) => s.get('/v1/wallet/info', { ...bearer(UNKNOWN), 'x-forwarded-for': '8.8.4.4, 9.9.9.9' }),
        expected: [...DEAD],
      },
      {
        what: 'a token that turned out to be junk, from the place that is slowed down',
        ask: async (s) => {
          const token = await s.token(4);
          return s.post('/v1/wallet/create', { cashu_token: token }, GUESSER);
        },
        expected: [429, 'rate_limited'],
      },
    ],
  },
  {
    id: 'A12',
    says: 'Nostr keys are no credentials, and a secret one is never repeated.',
    cases: [NSEC, `npub1${'q'.repeat(58)}`].map((text) => ({
      ...key(text.slice(0, 4), text),
      check: (answer, s) => {
        s.secret(text);
        if (answer.text.includes(text)) throw new Error('it was repeated');
      },
    })),
  },
];

let expired = '';
