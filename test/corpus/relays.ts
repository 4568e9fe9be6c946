/** Section N: what a relay says that nobody asked it. */
import { expect } from 'vitest';
import { KIND } from '../../src/protocol/kinds.ts';
import { until } from '../nostr/kit.ts';
import { type LetterCase, type LetterRow, type LetterStage, bare, job } from './letters-kit.ts';

/** It must be as if nothing had been said; the link stands afterwards, or stands again. */
const said = (
  what: string,
  say: (stage: LetterStage) => void,
  check?: (stage: LetterStage) => void,
): LetterCase => ({ what, put: async (stage) => say(stage), fate: 'ignored', ...(check && { check }) });

const raw =
  (text: string | Buffer) =>
  (stage: LetterStage): void =>
    stage.liar.sockets().forEach((socket) => socket.send(text));
const many =
  (count: number, say: (stage: LetterStage) => void) =>
  (stage: LetterStage): void => {
    for (let i = 0; i < count; i += 1) say(stage);
  };

export const RELAYS: readonly LetterRow[] = [
  {
    id: 'N1',
    says: 'What is no frame for us is not read, and what is too large ends the connection, not the node.',
    cases: [
      said('an event for a subscription that is not ours', (s) =>
        s.liar.send('EVENT', 'other', bare(s.node, 'x')),
      ),
      said('an event that is none', (s) => s.lie({ kind: KIND.ephemeralWrap, id: 'x' })),
      said('no JSON', raw('["EVENT",')),
      said('JSON of another shape', raw('{"EVENT":[]}')),
      said('a binary frame', raw(Buffer.from([0xff, 0, 1]))),
      said('two hundred pings', (s) =>
        many(200, () => s.liar.sockets().forEach((socket) => socket.ping()))(s),
      ),
      said('ten megabytes', raw('x'.repeat(10_000_000))),
      said('ends without an end', (s) => many(20, () => s.liar.send('EOSE', s.liar.asked.at(-1)?.id))(s)),
    ],
  },
  {
    id: 'N3',
    says: 'A relay that refuses, complains or asks who we are gets nothing that the operator did not allow.',
    cases: [
      {
        what: 'OK false to an answer',
        put: async (s) => {
          const frame = job({ auth: { bearer: s.key } });
          s.takes.ok = false;
          s.lie(s.client.wrap(frame));
          await until(() => s.told.events.some(({ kind }) => kind === KIND.wrap), 'the answer to be stored');
          s.takes.ok = true;
          await s.client.send({ t: 'get', id: frame.id });
          return frame.id;
        },
        fate: { told: [200] },
        moves: 'money',
      },
      said(
        'a thousand notices',
        many(1_000, (s) => s.liar.send('NOTICE', 'rate-limited: slow down')),
      ),
      said(
        'a challenge',
        (s) => s.liar.send('AUTH', 'who are you?'),
        (s) => expect(s.told.auths).toEqual([]),
      ),
    ],
  },
];
