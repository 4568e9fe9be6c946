/** Section D, second half: what a direct message does, and what it may not do. */
import { expect } from 'vitest';
import { createBuyer } from '../../src/demo/buyer.ts';
import { type RequestFrame, frameText } from '../../src/protocol/dmi.ts';
import { type Answer, dmClient, request } from '../e2e/dm-kit.ts';
import type { NostrEvent } from '../../src/relay/relay.ts';
import { completion, jsonAnswer } from '../e2e/wire-kit.ts';
import { until } from '../nostr/kit.ts';
import { ask } from './kit.ts';
import { lied } from './letters.ts';
import {
  type LetterCase,
  type LetterRow,
  type LetterStage,
  PAID_PATH,
  bare,
  job,
  liarIsHeard,
  rumorOf,
  written,
} from './letters-kit.ts';
import { ofMint } from './token-cases.ts';

/** A job that is paid with this token; it must not be run. */
const unpaid = (
  what: string,
  token: (stage: LetterStage) => string | Promise<string>,
  told: [number, string],
  { model, check }: { model?: string; check?: (stage: LetterStage) => Promise<void> } = {},
): LetterCase => {
  let asked = 0;
  return {
    what,
    put: async (stage) => {
      asked = stage.upstream.bodies.length;
      const frame = job({
        auth: { cashu: await token(stage) },
        ...(model !== undefined && { body: JSON.stringify(ask({ model })) }),
      });
      await stage.client.send(frame);
      return frame.id;
    },
    fate: { told },
    moves: check === undefined ? 'nothing' : 'money',
    check: async (stage) => {
      expect(stage.upstream.bodies.length).toBe(asked);
      await check?.(stage);
    },
  };
};

let last: { frame: RequestFrame; left: number; asked: number };
let wrapped: NostrEvent;
const balance = async (stage: LetterStage): Promise<number> =>
  (await stage.get('/v1/balance/info', { authorization: `Bearer ${stage.key}` })).json.balance as number;
const sentAgain = async (stage: LetterStage): Promise<void> => {
  expect(await balance(stage)).toBe(last.left);
  expect(stage.upstream.bodies.length).toBe(last.asked);
};

let kept = '';
const big = (length: number): string =>
  Array.from({ length }, (_, i) => (i * 2_654_435_761) % 36)
    .map((n) => n.toString(36))
    .join('');
let whole: Answer;

export const LETTER_EFFECTS: readonly LetterRow[] = [
  {
    id: 'D9',
    says: 'One request has one effect, in however many wraps it comes.',
    cases: [
      {
        what: 'the first time',
        put: async (s) => {
          const [frame, left, asked] = [
            job({ auth: { bearer: s.key } }),
            await balance(s),
            s.upstream.bodies.length,
          ];
          await s.client.send(frame);
          const { last: end } = await s.client.end(frame.id);
          last = { frame, left: left - (end.cost_msat ?? 0), asked: asked + 1 };
          expect(end.cost_msat).toBeGreaterThan(0);
          return frame.id;
        },
        fate: { told: [200] },
        moves: 'money',
        check: sentAgain,
      },
      {
        what: 'the same rumor in a new wrap',
        put: async (s) => {
          const heard = s.client.got.length;
          wrapped = written(s, { rumor: rumorOf(s, frameText(last.frame)) });
          await s.client.publish(wrapped);
          await until(() => s.client.got.length > heard, 'the answer that is kept');
          return last.frame.id;
        },
        fate: { told: [200] },
        check: sentAgain,
      },
      {
        what: 'the same id with another body',
        put: async (s) => {
          const { id } = last.frame;
          await s.client.send({ ...last.frame, body: JSON.stringify(ask({ temperature: 1 })) });
          await until(
            () => s.client.about(id).some((frame) => frame.t === 'err' && frame.code === 'id_conflict'),
            'a refusal',
          );
          return id;
        },
        fate: { told: [200] },
        check: sentAgain,
      },
      {
        what: 'the same wrap from another relay',
        put: async (s) => s.lie(wrapped),
        fate: { dropped: 'duplicate', by: 'wraps' },
        check: sentAgain,
      },
    ],
  },
  {
    id: 'D11',
    says: 'A wrap has a few short tags, and a flood of wraps holds nobody else up.',
    cases: [
      lied(
        '2,000 tags',
        (s) => bare(s.node, 'x', [['p', s.node], ...Array.from({ length: 1_999 }, () => ['t', 'a'])]),
        'size',
      ),
      lied(
        '100 kB of tags',
        (s) =>
          bare(s.node, 'x', [
            ['p', s.node],
            ['t', 'a'.repeat(100_000)],
          ]),
        'size',
      ),
      {
        what: 'four thousand wraps at once',
        put: async (s) => {
          const wrap = bare(s.node, 'x');
          for (let i = 0; i < 4_000; i += 1) s.lie({ ...wrap, id: i.toString(16).padStart(64, '0') });
          const frame = request();
          await s.client.send(frame);
          await until(
            () => (s.world.node.messages()?.unread ?? 0) > 500,
            'what is too much to be left unread',
          );
          return frame.id;
        },
        fate: { told: [200] },
        // What is left of the flood would be counted beside what comes next.
        check: liarIsHeard,
      },
    ],
  },
  {
    id: 'D12',
    says: 'The answer goes to who sealed the request, over relays of the list, whatever the request asks for.',
    cases: [
      {
        what: 'another reader, and a relay that nobody listed',
        put: async (s) => {
          const trap = `ws://127.0.0.1:${s.trap.port}`;
          const other = await dmClient(s.node, [s.honest.url]);
          const frame = {
            ...request(),
            reply_to: other.pubkey,
            relay: trap,
            relays: [trap, 'ws://169.254.169.254'],
          };
          const tags = [
            ['p', other.pubkey],
            ['p', s.node],
            ['relay', trap],
          ];
          await s.client.publish(written(s, { rumor: rumorOf(s, JSON.stringify(frame), { tags }) }));
          await s.client.end(frame.id);
          expect(other.got).toEqual([]);
          await other.close();
          return frame.id;
        },
        fate: { told: [200] },
        check: (s) =>
          expect(s.told.events.filter(({ tags }) => tags.some(([, to]) => to !== s.client.pubkey))).toEqual(
            [],
          ),
      },
    ],
  },
  {
    id: 'D13',
    says: 'A job with a bad token is not run, and a good one is not touched by what is wrong elsewhere.',
    cases: [
      unpaid('no token', () => 'cashuBxyz', [400, 'invalid_cashu_token']),
      unpaid(
        'of a mint that is not listed',
        ofMint((s) => `http://127.0.0.1:${s.trap.port}`),
        [400, 'untrusted_mint'],
      ),
      unpaid(
        'of a mint that is away',
        ofMint((s) => s.mints.away),
        [503, 'mint_unreachable'],
      ),
      unpaid(
        'spent before',
        async (s) => {
          const token = await s.token(16);
          await (await createBuyer({ mintUrl: s.world.mint.url })).receive(token);
          return token;
        },
        [400, 'token_already_spent'],
      ),
      unpaid(
        'good, for a model that is not sold',
        async (s) => (kept = await s.token(32)),
        [404, 'model_not_found'],
        {
          model: 'not/sold',
          check: async (s) => {
            const made = await s.post('/v1/balance/create', { cashu_token: kept });
            expect([made.status, made.json.balance]).toEqual([200, 32_000]);
          },
        },
      ),
    ],
  },
  {
    id: 'D14',
    says: 'A large answer comes whole in parts, or not at all.',
    cases: [
      {
        what: '200 kB that do not deflate',
        put: async (s) => {
          s.upstream.answer(jsonAnswer(200, completion(big(200_000))));
          const { id } = (whole = await s.client.ask({
            path: PAID_PATH,
            content: JSON.stringify(ask()),
            auth: { bearer: s.key },
          }));
          return id;
        },
        fate: { told: [200] },
        moves: 'money',
        check: () => expect(JSON.parse(whole.bytes.toString()).choices[0].message.content).toBe(big(200_000)),
      },
      {
        what: '9 MB',
        put: async (s) => {
          s.upstream.answer(jsonAnswer(200, completion('x'.repeat(9_000_000))));
          const { id } = await s.client.ask({
            path: PAID_PATH,
            content: JSON.stringify(ask()),
            auth: { bearer: s.key },
          });
          s.upstream.answer(jsonAnswer(200, completion()));
          return id;
        },
        fate: { told: [413, 'too_large'] },
        moves: 'money',
      },
    ],
  },
];
