/** Sections I and R: repeated requests, balances and refunds. What moves here moves on purpose, and only once. */
import { EventEmitter, once } from 'node:events';
import { bearer } from '../e2e/support.ts';
import { completion, jsonAnswer } from '../e2e/wire-kit.ts';
import { type Answer, type Case, type Row, type Stage, ask } from './kit.ts';

const newKey = async (s: Stage, sats: number): Promise<string> => s.secret(await s.world.key(sats));
const refund = async (s: Stage, key: string, body: unknown = {}, id?: string): Promise<Answer> => {
  const named = id === undefined ? {} : { 'idempotency-key': id };
  const answer = await s.post('/v1/wallet/refund', body, { ...bearer(key), ...named });
  if (typeof answer.json.token === 'string') s.secret(answer.json.token as string);
  return answer;
};
const same = (what: string, got: unknown, wanted: unknown): void => {
  if (got !== wanted) throw new Error(`${what} is ${String(got)}, not ${String(wanted)}`);
};
const money = (what: string, act: (s: Stage) => Promise<Answer>, ...expected: Case['expected']): Case => ({
  what,
  ask: act,
  expected,
  moves: 'money',
});
const keyed = (id: string): Case => ({
  what: id === '' ? 'empty' : `${id.length} characters`,
  ask: (s) => refund(s, s.key, {}, id),
  expected: [400, 'invalid_idempotency_key'],
});

/** What happens while the AI server is at work on a request that this credential pays for. */
async function meanwhile(
  s: Stage,
  credential: Record<string, string>,
  act: () => Promise<Answer>,
): Promise<Answer> {
  const signals = new EventEmitter();
  const arrived = once(signals, 'arrived');
  const released = once(signals, 'released');
  s.upstream.answer(async (res) => {
    signals.emit('arrived');
    await released;
    jsonAnswer(200, completion())(res);
  });
  const running = s.post('/v1/chat/completions', ask(), credential);
  await arrived;
  const answer = await act();
  signals.emit('released');
  same('the answer under way', (await running).status, 200);
  s.upstream.answer(jsonAnswer(200, completion()));
  return answer;
}

export const MONEY: readonly Row[] = [
  {
    id: 'I1',
    says: 'The same refund under the same name is the same token.',
    cases: [
      {
        ...money(
          'twice',
          async (s) => {
            const key = await newKey(s, 9);
            const first = await refund(s, key, { amount_sats: 4 }, 'one');
            const again = await refund(s, key, { amount_sats: 4 }, 'one');
            same('the second token', again.json.token, first.json.token);
            return again;
          },
          200,
        ),
        check: ({ header }) => same('idempotent-replayed', header('idempotent-replayed'), 'true'),
      },
    ],
  },
  {
    id: 'I2',
    says: 'Another refund under the same name is refused.',
    cases: [
      money(
        'another amount',
        async (s) => {
          const key = await newKey(s, 9);
          await refund(s, key, { amount_sats: 4 }, 'two');
          return refund(s, key, { amount_sats: 5 }, 'two');
        },
        409,
        'idempotency_key_reused',
      ),
    ],
  },
  {
    id: 'I3',
    says: 'A payment that is under way is not begun again: the token is its own name.',
    cases: [
      {
        ...money(
          'the same token and body',
          async (s) => {
            const credential = { 'x-cashu': await s.token(200) };
            return meanwhile(s, credential, () => s.post('/v1/chat/completions', ask(), credential));
          },
          409,
          'token_in_use',
        ),
        check: ({ header }) => same('retry-after', header('retry-after'), '1'),
      },
    ],
  },
  {
    id: 'I4',
    says: 'A name is 1 to 255 printable characters.',
    cases: ['', 'x'.repeat(256), 'a\tb', '\u00ff'].map(keyed),
  },
  {
    id: 'I5',
    says: 'The names of two accounts have nothing to do with each other.',
    cases: [
      money(
        'one name, two keys',
        async (s) => {
          const [one, two] = [await newKey(s, 9), await newKey(s, 8)];
          const first = await refund(s, one, {}, 'shared');
          const second = await refund(s, two, {}, 'shared');
          same('sats of the first', first.json.sats, '9');
          same('sats of the second', second.json.sats, '8');
          return second;
        },
        200,
      ),
    ],
  },
  {
    id: 'R1',
    says: 'While a request runs its key is not refunded, in the words that old clients wait for.',
    cases: [
      {
        ...money(
          'a request under way',
          async (s) => {
            const key = await newKey(s, 300);
            return meanwhile(s, bearer(key), () => refund(s, key));
          },
          400,
          'refund_busy',
        ),
        check: ({ json }) =>
          same('detail', json.detail, 'Cannot refund key. There are ongoing requests for this api key.'),
      },
    ],
  },
  {
    id: 'R2',
    says: 'Nothing left is said so.',
    cases: [
      {
        ...money(
          'a key that was refunded, with its token spent',
          async (s) => {
            const key = await newKey(s, 7);
            const { json } = await refund(s, key);
            await s.post('/v1/wallet/create', { cashu_token: json.token });
            return refund(s, key);
          },
          400,
          'nothing_to_refund',
        ),
        check: ({ json }) => same('detail', json.detail, 'No balance to refund'),
      },
    ],
  },
  {
    id: 'R3',
    says: 'A refund asked for again is the same token; after a top-up it is a new one of the new money.',
    cases: [
      money(
        'twice',
        async (s) => {
          const key = await newKey(s, 9);
          const first = await refund(s, key);
          const again = await refund(s, key);
          same('the second token', again.json.token, first.json.token);
          return again;
        },
        200,
      ),
      {
        ...money(
          'after a top-up',
          async (s) => {
            const key = await newKey(s, 9);
            await refund(s, key);
            await s.post('/v1/wallet/topup', { cashu_token: await s.token(5) }, bearer(key));
            return refund(s, key);
          },
          200,
        ),
        check: ({ json }) => same('sats', json.sats, '5'),
      },
    ],
  },
  {
    id: 'R4',
    says: 'An amount is whole, above 0, and there.',
    cases: [
      ...['-1', '0', '1.5', '1e400', '"4"', '1e16'].map((amount): Case => ({
        what: amount,
        ask: (s) => s.post('/v1/wallet/refund', `{"amount_sats":${amount}}`, bearer(s.key)),
        expected: [400, 'invalid_amount'],
      })),
      {
        what: 'more than there is',
        ask: (s) => refund(s, s.key, { amount_sats: 5_001 }),
        expected: [402, 'insufficient_balance'],
      },
    ],
  },
  {
    id: 'R5',
    says: 'A refund goes to a public Lightning address or nowhere: nothing private is resolved or dialled.',
    cases: [
      ...['http://localhost', 'a@10.0.0.1', 'lnurl1dp68gurn8ghj7'].map((lightning_address): Case => ({
        what: String(lightning_address),
        ask: (s) => refund(s, s.key, { lightning_address }),
        expected: [400, 'invalid_address'],
      })),
      {
        what: 'a number',
        ask: (s) => refund(s, s.key, { lightning_address: 5 }),
        expected: [400, 'invalid_request'],
      },
      {
        what: 'a listener here',
        ask: (s) => refund(s, s.key, { refund_address: `http://127.0.0.1:${s.trap.port}` }),
        expected: [400, 'invalid_address'],
      },
    ],
  },
  {
    id: 'R7',
    says: 'The limit of a child key is a whole number of msats, and a child has no children.',
    cases: [
      ...['-1', '0', '1e400', '1.5', '"many"', '[5]', '9007199254740992'].map((limit) => ({
        what: `a limit of ${limit}`,
        ask: (s: Stage) =>
          s.post('/v1/balance/child-key', `{"count":1,"balance_limit":${limit}}`, bearer(s.key)),
        expected: [400, 'invalid_request'] as [number, string],
      })),
      {
        what: 'a circle',
        ask: async (s) => {
          const { json } = await s.post('/v1/balance/child-key', { count: 1 }, bearer(s.key));
          return s.post('/v1/balance/child-key', {}, bearer(s.secret(json.api_keys[0] as string)));
        },
        expected: [400, 'child_key_not_allowed'],
        moves: 'money',
      },
    ],
  },
  {
    id: 'R6',
    says: 'Only a key that exists is topped up, and only with so much as one payment may be.',
    cases: [
      {
        what: 'an unknown key',
        ask: async (s) =>
          s.post('/v1/wallet/topup', { cashu_token: await s.token(3) }, bearer(`sk-${'0'.repeat(64)}`)),
        expected: [401, 'invalid_api_key'],
      },
      {
        what: '2^21 sats',
        ask: async (s) => {
          const token = await s.token(2 ** 21);
          return s.post('/v1/wallet/topup', { cashu_token: token }, bearer(s.key));
        },
        expected: [400, 'token_too_large'],
      },
    ],
  },
];
