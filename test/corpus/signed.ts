/** Section P: requests that a Nostr key has signed (NIP-98), or that only look like it. */
import type { EventTemplate } from 'nostr-tools/pure';
import { asHeader, authEvent, newSecret, signed, unixNow } from '../e2e/signed.ts';
import { request } from '../e2e/wire-kit.ts';
import { type Case, type Row, type Stage, ask } from './kit.ts';

const SECRET = newSecret();
const PATH = '/v1/wallet/info';
const REFUSED = [401, 'unauthorized'] as const;

const header = (what: string, authorization: string, ...expected: Case['expected']): Case => ({
  what,
  ask: (s) => s.get(PATH, { authorization }),
  expected,
});

/** A request whose event was changed before it was signed. */
const changed = (what: string, change: (template: EventTemplate, s: Stage) => EventTemplate): Case => ({
  what,
  ask: (s) =>
    s.get(
      PATH,
      signed(SECRET, { url: s.world.url + PATH }, (template) => change(template, s)),
    ),
  expected: [...REFUSED],
});
const at = (what: string, time: () => number): Case =>
  changed(what, (template) => ({ ...template, created_at: time() }));
const tagged = (what: string, name: string, value: (url: string) => string): Case =>
  changed(what, (template, s) => ({
    ...template,
    tags: template.tags.map((tag) => (tag[0] === name ? [name, value(s.world.url + PATH)] : tag)),
  }));
const more = (what: string, ...tag: string[]): Case =>
  changed(what, (template) => ({ ...template, tags: [...template.tags, tag] }));

/** What signing does not cover: an event with such a field is wrong whatever its signature. */
const forged = (what: string, fields: Record<string, unknown>): Case => ({
  what,
  ask: (s) => s.get(PATH, asHeader({ ...authEvent(SECRET, { url: s.world.url + PATH }), ...fields })),
  expected: [...REFUSED],
});

const chat = '/v1/chat/completions';
const BODY = JSON.stringify(ask());
const paid = (what: string, sign: (url: string) => { authorization: string }): Case => ({
  what,
  ask: (s) => s.post(chat, BODY, sign(s.world.url + chat)),
  expected: [...REFUSED],
});

export const SIGNED: readonly Row[] = [
  {
    id: 'P1',
    says: 'A signed event is base64 of JSON, and small.',
    cases: [
      header('nothing', 'Nostr', ...REFUSED),
      header('nothing after a space', 'Nostr ', ...REFUSED),
      header('not base64', 'Nostr {}', ...REFUSED),
      header('not JSON', `Nostr ${Buffer.from('no').toString('base64')}`, ...REFUSED),
      header('no event', `Nostr ${Buffer.from('[{}]').toString('base64')}`, ...REFUSED),
      header('no UTF-8', `Nostr ${Buffer.from([0xff, 0xfe]).toString('base64')}`, ...REFUSED),
      header('40 kB', `Nostr ${'A'.repeat(40_000)}`, ...REFUSED),
      header('100 kB', `Nostr ${'A'.repeat(100_000)}`, 431, 'headers_too_large'),
      header('another scheme', 'Nostrum e30=', 401, 'invalid_api_key'),
    ],
  },
  {
    id: 'P2',
    says: 'Its kind is 27235, its time is now, and its signature holds.',
    cases: [
      changed('another kind', (template) => ({ ...template, kind: 1 })),
      at('a minute old', () => unixNow() - 60),
      at('a minute and a bit ahead', () => unixNow() + 65),
      at('from 1970', () => 0),
      forged('half a second', { created_at: unixNow() + 0.5 }),
      forged('a negative time', { created_at: -1 }),
      forged('a time as text', { created_at: String(unixNow()) }),
      forged('another key', { pubkey: 'ab'.repeat(32) }),
      forged('upper-case digits', { pubkey: 'AB'.repeat(32) }),
      forged('no signature', { sig: '0'.repeat(128) }),
      forged('an id that is not its own', { id: '0'.repeat(64) }),
      forged('content that was not signed', { content: 'x' }),
    ],
  },
  {
    id: 'P3',
    says: 'The address is that of this node, letter by letter.',
    cases: [
      tagged('another host', 'u', (url) => url.replace('127.0.0.1', 'evil.example')),
      tagged('another port', 'u', (url) => url.replace(/:\d+\//, ':1/')),
      tagged('another scheme', 'u', (url) => url.replace('http:', 'https:')),
      tagged('a query', 'u', (url) => `${url}?a=1`),
      tagged('a slash at the end', 'u', (url) => `${url}/`),
      tagged('another case', 'u', (url) => url.replace('wallet', 'Wallet')),
      tagged('no host', 'u', () => PATH),
      {
        what: 'an address elsewhere, repeated by Host',
        ask: (s) => {
          const { authorization } = signed(SECRET, { url: `http://evil.example${PATH}` });
          const lines = ['Host: evil.example', `Authorization: ${authorization}`];
          return s.bytes(`GET ${PATH} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
        },
        expected: [...REFUSED],
      },
    ],
  },
  {
    id: 'P4',
    says: 'The method is the one used, and nothing is said twice.',
    cases: [
      tagged('another method', 'method', () => 'POST'),
      tagged('lower case', 'method', () => 'get'),
      more('a second method', 'method', 'GET'),
      more('a second address', 'u', 'https://evil.example/'),
      changed('no method', (template) => ({
        ...template,
        tags: template.tags.filter(([name]) => name !== 'method'),
      })),
      changed('no address', (template) => ({
        ...template,
        tags: template.tags.filter(([name]) => name !== 'u'),
      })),
    ],
  },
  {
    id: 'P5',
    says: 'A body is signed by the hash of its bytes.',
    cases: [
      paid('no payload', (url) => signed(SECRET, { url, method: 'POST' })),
      paid('of another body', (url) => signed(SECRET, { url, method: 'POST', body: `${BODY} ` })),
      paid('twice', (url) =>
        signed(SECRET, { url, method: 'POST', body: BODY }, (template) => ({
          ...template,
          tags: [...template.tags, template.tags.find(([name]) => name === 'payload') ?? []],
        })),
      ),
      {
        what: 'of a body where there is none',
        ask: (s) => s.get(PATH, signed(SECRET, { url: s.world.url + PATH, body: 'x' })),
        expected: [...REFUSED],
      },
      {
        what: 'where all is well, the key is asked to pay',
        ask: (s) =>
          s.post(chat, BODY, signed(SECRET, { url: s.world.url + chat, method: 'POST', body: BODY })),
        expected: [402, 'payment_required'],
      },
    ],
  },
  {
    id: 'P6',
    says: 'An event is good for one request.',
    cases: [
      {
        what: 'the same again',
        ask: async (s) => {
          const headers = signed(SECRET, { url: s.world.url + PATH });
          const first = await s.get(PATH, headers);
          if (first.status !== 200) throw new Error(`the first was refused: ${first.text}`);
          return s.get(PATH, headers);
        },
        expected: [401, 'replayed'],
      },
      {
        what: 'two Authorization headers',
        ask: (s) => {
          const { authorization } = signed(SECRET, { url: s.world.url + PATH });
          const lines = [`authorization: ${authorization}`, `authorization: Bearer ${s.key}`];
          return s.bytes(request(`GET ${PATH}`, lines));
        },
        expected: [400, 'ambiguous_credentials'],
      },
    ],
  },
];
