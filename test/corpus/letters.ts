/** Section D, first half: what is wrong with a wrap, its seal, its rumor or its frame. */
import { deflateRawSync } from 'node:zlib';
import { generateSecretKey } from 'nostr-tools/pure';
import { KIND } from '../../src/protocol/kinds.ts';
import { frameText } from '../../src/protocol/dmi.ts';
import { newId, request } from '../e2e/dm-kit.ts';
import { unixNow } from '../e2e/signed.ts';
import { CANARY } from './kit.ts';
import {
  type LetterCase,
  type LetterRow,
  type LetterStage,
  type Written,
  around,
  badlyPadded,
  bare,
  rumorOf,
  written,
  job,
} from './letters-kit.ts';

const PING = frameText({ t: 'ping', n: 1 });

/** An event that a relay brings without having looked at it. */
export const lied = (
  what: string,
  event: (stage: LetterStage) => object,
  dropped: string,
  by: 'wraps' | 'frames' | 'links' = 'wraps',
): LetterCase => ({
  what,
  put: async (stage) => stage.lie(event(stage), KIND.ephemeralWrap),
  fate: { dropped, by },
});

/** A wrap that every relay takes, and with something wrong inside. */
const sealed = (
  what: string,
  letter: (stage: LetterStage) => Written,
  dropped: string,
  by: 'wraps' | 'frames' = 'wraps',
): LetterCase => ({
  what,
  put: (stage) => stage.client.publish(written(stage, letter(stage))),
  fate: { dropped, by },
});

/** A frame that its sender is told about. */
const framed = (what: string, frame: (id: string) => object, ...told: [number, string?]): LetterCase => ({
  what,
  put: async (stage) => {
    const id = newId();
    await stage.client.publish(written(stage, { rumor: rumorOf(stage, JSON.stringify(frame(id))) }));
    return id;
  },
  fate: { told },
});

export const LETTERS: readonly LetterRow[] = [
  {
    id: 'D1',
    says: 'A wrap has its own id, a signature, and a kind of wraps.',
    cases: [
      lied('no signature', (s) => ({ ...bare(s.node, 'x'), sig: '0'.repeat(128) }), 'signature'),
      lied(
        'the signature of another',
        (s) => ({ ...bare(s.node, 'x'), sig: bare(s.node, 'y').sig }),
        'signature',
      ),
      lied('another id', (s) => ({ ...bare(s.node, 'x'), id: 'a'.repeat(64) }), 'id'),
      lied('content that was not signed', (s) => ({ ...bare(s.node, 'x'), content: 'y' }), 'id'),
      lied('another kind', (s) => ({ ...bare(s.node, 'x'), kind: 1_060 }), 'unread', 'links'),
    ],
  },
  {
    id: 'D2',
    says: 'A wrap is for this node; if it is for others as well, that is their business.',
    cases: [
      lied('for somebody else', (s) => bare(s.client.pubkey, 'x'), 'unread', 'links'),
      lied('for nobody', (s) => bare(s.node, 'x', []), 'unread', 'links'),
      {
        what: 'for two, of whom the node is the second',
        put: async (s) => {
          const frame = request();
          const tags = [
            ['p', s.client.pubkey],
            ['p', s.node],
          ];
          await s.client.publish(written(s, { rumor: rumorOf(s, frameText(frame)), tags }));
          return frame.id;
        },
        fate: { told: [200] },
      },
    ],
  },
  {
    id: 'D3',
    says: 'Content is NIP-44 version 2, padded rightly, and not large.',
    cases: [
      lied('no payload', (s) => bare(s.node, 'x'), 'decrypt'),
      lied('letters', (s) => bare(s.node, 'A'.repeat(400)), 'decrypt'),
      lied('version 1', (s) => bare(s.node, Buffer.alloc(200, 1).toString('base64')), 'decrypt'),
      lied('a wrong padding under a right MAC', (s) => badlyPadded(s.node), 'decrypt'),
      lied(
        'encrypted for another',
        (s) => ({ ...bare(s.node, s.client.wrap({ t: 'ping', n: 1 }).content.replace(/^.{8}/, 'AgAAAAAA')) }),
        'decrypt',
      ),
      lied('200 kB', (s) => bare(s.node, 'A'.repeat(200_000)), 'size'),
      lied('900 kB', (s) => bare(s.node, 'A'.repeat(900_000)), 'size'),
    ],
  },
  {
    id: 'D4',
    says: 'A seal has kind 13 and is signed.',
    cases: [
      sealed(
        'zeros for a signature',
        (s) => ({ rumor: rumorOf(s, PING), seal: (seal) => ({ ...seal, sig: '0'.repeat(128) }) }),
        'seal',
      ),
      sealed(
        'no signature',
        (s) => ({ rumor: rumorOf(s, PING), seal: ({ sig: _sig, ...rest }) => rest }),
        'seal',
      ),
      sealed('another kind', (s) => ({ rumor: rumorOf(s, PING), sealKind: 14 }), 'seal'),
      sealed('a rumor without a seal', (s) => ({ rumor: {}, seal: () => rumorOf(s, PING) }), 'seal'),
      {
        what: 'no JSON',
        put: (s) =>
          s.client.publish(
            around(s.node, '{"kind":13,', {
              kind: KIND.ephemeralWrap,
              tags: [['p', s.node]],
              created_at: unixNow(),
            }),
          ),
        fate: { dropped: 'seal', by: 'wraps' },
      },
    ],
  },
  {
    id: 'D5',
    says: 'Nobody speaks for another.',
    cases: [
      sealed(
        'a rumor of somebody else',
        (s) => ({ rumor: rumorOf(s, PING), sealBy: generateSecretKey() }),
        'author',
      ),
      sealed(
        'a seal that only names somebody else',
        (s) => ({
          rumor: rumorOf(s, PING),
          sealBy: generateSecretKey(),
          seal: (seal) => ({ ...seal, pubkey: s.client.pubkey }),
        }),
        'seal',
      ),
    ],
  },
  {
    id: 'D6',
    says: 'A rumor has the id of what it says.',
    cases: [
      sealed('another id', (s) => ({ rumor: rumorOf(s, PING, { id: 'a'.repeat(64) }) }), 'rumor-id'),
      sealed('no id of that form', (s) => ({ rumor: rumorOf(s, PING, { id: 'A'.repeat(64) }) }), 'rumor'),
    ],
  },
  {
    id: 'D7',
    says: 'What is no frame is not answered; what names a request is told what is wrong.',
    cases: [
      sealed('a kind that nobody reads', (s) => ({ rumor: rumorOf(s, CANARY, { kind: 1 }) }), 'rumor-kind'),
      sealed('no JSON', (s) => ({ rumor: rumorOf(s, `${CANARY}{`) }), 'bad_request', 'frames'),
      sealed(
        'brackets without end',
        (s) => ({ rumor: rumorOf(s, '['.repeat(26_000)) }),
        'bad_request',
        'frames',
      ),
      sealed(
        'more than a frame may have',
        (s) => ({ rumor: rumorOf(s, JSON.stringify({ ...request(), body: 'x'.repeat(27_000) })) }),
        'too_large',
        'frames',
      ),
      framed(
        'a request that lacks its time',
        (id) => ({ v: 1, t: 'req', id, method: 'GET', path: '/v1/info' }),
        400,
        'bad_request',
      ),
      framed('a frame that nobody knows', (id) => ({ t: 'shout', id }), 400, 'unsupported'),
      framed('another version', (id) => ({ ...request({ id }), v: 2 }), 400, 'bad_request'),
      framed(
        'a path that leads elsewhere',
        (id) => ({ ...request({ id }), path: '//evil.example/' }),
        400,
        'bad_request',
      ),
      framed(
        'a body that is no deflate',
        (id) => job({ id, body: undefined, z: 'AAAA' }),
        400,
        'bad_request',
      ),
      framed(
        'twelve megabytes in twelve kilobytes',
        (id) =>
          job({ id, body: undefined, z: deflateRawSync(Buffer.alloc(12_000_000, 32)).toString('base64') }),
        400,
        'bad_request',
      ),
      framed('two bodies', (id) => job({ id, z: 'AAAA' }), 400, 'bad_request'),
    ],
  },
  {
    id: 'D8',
    says: 'A request is of now: whatever its wrap says, an old one is not begun.',
    cases: [
      ...(
        [
          ['1970', 0],
          ['2099', 4_070_908_800],
          ['twenty minutes ago', unixNow() - 1_200],
        ] as const
      ).map(([what, at]): LetterCase => ({
        what,
        put: async (s) => {
          const frame = job({ auth: { bearer: s.key } });
          await s.client.publish(written(s, { rumor: rumorOf(s, frameText(frame), { created_at: at }) }));
          return frame.id;
        },
        fate: { told: [408, 'stale'] },
      })),
      sealed('half a second', (s) => ({ rumor: rumorOf(s, PING, { created_at: unixNow() + 0.5 }) }), 'rumor'),
      sealed(
        'a time as text',
        (s) => ({ rumor: rumorOf(s, PING, { created_at: String(unixNow()) }) }),
        'rumor',
      ),
      lied(
        'a wrap from an hour ahead',
        (s) => written(s, { rumor: rumorOf(s, PING), at: unixNow() + 3_600 }),
        'future',
      ),
    ],
  },
];
