/** Section H: HTTP framing and headers, most of them as raw bytes. And the paths of operators, which do not exist. */
import { gzipSync } from 'node:zlib';
import { request } from '../e2e/wire-kit.ts';
import { type Case, type Row, type Stage, ask } from './kit.ts';

const BODY = JSON.stringify(ask());

/** A paid request as bytes. */
const paid = (stage: Stage, headers: readonly string[], body = BODY): string =>
  request(
    'POST /v1/chat/completions',
    ['content-type: application/json', `authorization: Bearer ${stage.key}`, ...headers],
    body,
  );
const info = (...headers: string[]): string => request('GET /v1/info', headers);

type Bytes = string | Buffer | ((stage: Stage) => string | Buffer);
const sent = (what: string, bytes: Bytes, ...expected: Case['expected']): Case => ({
  what,
  ask: (stage) => stage.bytes(typeof bytes === 'function' ? bytes(stage) : bytes),
  expected,
});
const posted = (
  what: string,
  body: string | Buffer,
  headers: Record<string, string>,
  ...expected: Case['expected']
): Case => ({
  what,
  ask: (stage) => {
    const lines = Object.entries({ 'content-type': 'application/json', ...headers })
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `${name}: ${value}`);
    const bytes = Buffer.from(body);
    const head = request('POST /v1/chat/completions', [
      `authorization: Bearer ${stage.key}`,
      ...lines,
      `content-length: ${bytes.length}`,
    ]);
    return stage.bytes(Buffer.concat([Buffer.from(head), bytes]));
  },
  expected,
});
const got = (path: string, ...expected: Case['expected']): Case =>
  sent(path, request(`GET ${path}`), ...expected);

const CHUNKED = 'transfer-encoding: chunked';
const BAD = [400, 'bad_request'] as const;

export const HTTP: readonly Row[] = [
  {
    id: 'H1',
    says: 'A request names its host.',
    cases: [sent('no Host', 'GET /v1/info HTTP/1.1\r\n\r\n', ...BAD)],
  },
  { id: 'H2', says: 'It names one host.', cases: [sent('two Hosts', info('host: other.test'), ...BAD)] },
  { id: 'H3', says: 'HTTP/0.9 is not spoken.', cases: [sent('no version', 'GET /v1/info\r\n\r\n', ...BAD)] },
  {
    id: 'H4',
    says: 'Neither is anything else but HTTP/1.',
    cases: [
      sent('HTTP/3.0', 'GET /v1/info HTTP/3.0\r\nhost: a\r\n\r\n', ...BAD),
      sent('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', ...BAD),
      sent('TLS', Buffer.from('16030100a5010000a10303', 'hex'), ...BAD),
      sent('bare line feeds', 'GET /v1/info HTTP/1.1\nhost: a\n\n', ...BAD),
    ],
  },
  {
    id: 'H5',
    says: 'Unknown methods are no requests.',
    cases: [sent('FOO', request('FOO /v1/info'), ...BAD)],
  },
  {
    id: 'H6',
    says: 'TRACE echoes nothing and CONNECT opens no tunnel.',
    cases: [
      sent('TRACE', request('TRACE /v1/info'), 405, 'method_not_allowed'),
      sent('CONNECT', ({ trap }) => `CONNECT 127.0.0.1:${trap.port} HTTP/1.1\r\nhost: a\r\n\r\n`, 0),
    ],
  },
  {
    id: 'H7',
    says: 'The node is no proxy.',
    cases: [
      sent('a link-local address', request('GET http://169.254.169.254/v1/info'), ...BAD),
      sent('a listener here', ({ trap }) => request(`GET http://127.0.0.1:${trap.port}/`), ...BAD),
    ],
  },
  {
    id: 'H8',
    says: 'A body has one framing.',
    cases: [sent('a length and chunks', (s) => paid(s, ['content-length: 3', CHUNKED], '0\r\n\r\n'), ...BAD)],
  },
  {
    id: 'H9',
    says: 'A length is one whole number.',
    cases: [
      sent('two lengths', (s) => paid(s, ['content-length: 3', 'content-length: 4'], 'abcd'), ...BAD),
      sent('two equal lengths', (s) => paid(s, ['content-length: 3', 'content-length: 3'], 'abc'), ...BAD),
      ...['-1', '0x10', '5, 5'].map((length) =>
        sent(length, (s) => paid(s, [`content-length: ${length}`], 'abcde'), ...BAD),
      ),
    ],
  },
  {
    id: 'H10',
    says: 'A body that is announced too large is not read.',
    cases: [
      sent('2^63 bytes', (s) => paid(s, ['content-length: 9223372036854775808']), 413, 'payload_too_large'),
    ],
  },
  {
    id: 'H11',
    says: 'A transfer coding that is not known is not guessed.',
    cases: [sent('xchunked', (s) => paid(s, ['transfer-encoding: xchunked'], '0\r\n\r\n'), ...BAD)],
  },
  {
    id: 'H12',
    says: 'HTTP/1.0 has no chunks.',
    cases: [sent('chunks', (s) => paid(s, [CHUNKED], '0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0'), ...BAD)],
  },
  {
    id: 'H13',
    says: 'Headers that two servers could read differently are refused.',
    cases: [
      sent(
        'chunked, identity',
        (s) => paid(s, ['transfer-encoding: chunked, identity'], '0\r\n\r\n'),
        ...BAD,
      ),
      sent('a space before a colon', info('x-a : b'), ...BAD),
      sent('a folded header', info('x-a: b', ' c'), ...BAD),
      sent('a NUL', info('x-a: b\0c'), ...BAD),
      sent('a space in a name', info('x a: b'), ...BAD),
    ],
  },
  {
    id: 'H14',
    says: 'A chunk has a size.',
    cases: [
      sent('no number', (s) => paid(s, [CHUNKED], 'zz\r\n'), ...BAD),
      sent('an overflow', (s) => paid(s, [CHUNKED], 'fffffffffffffffff\r\n'), ...BAD),
    ],
  },
  {
    id: 'H15',
    says: 'Chunk extensions are bounded.',
    cases: [
      sent('20 kB', (s) => paid(s, [CHUNKED], `1;${'a'.repeat(20_000)}\r\n`), 413, 'payload_too_large'),
    ],
  },
  {
    id: 'H16',
    says: 'Credentials in a trailer do not count: the request has offered no payment.',
    cases: [
      sent(
        'Authorization behind the body',
        ({ key }) =>
          request(
            'POST /v1/chat/completions',
            ['content-type: application/json', CHUNKED, 'trailer: authorization'],
            `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\nauthorization: Bearer ${key}\r\n\r\n`,
          ),
        402,
        'payment_required',
      ),
    ],
  },
  {
    id: 'H17',
    says: 'Headers and address together are at most 64 KiB; large change tokens fit.',
    cases: [
      sent('20 kB', info(`x-big: ${'a'.repeat(20_000)}`), 200),
      sent('70 kB', info(`x-big: ${'a'.repeat(70_000)}`), 431, 'headers_too_large'),
      sent('an address of 70 kB', request(`GET /v1/info?a=${'a'.repeat(70_000)}`), 431, 'headers_too_large'),
    ],
  },
  {
    id: 'H18',
    says: 'No header is dropped without a word.',
    cases: [
      sent(
        '2,500 headers',
        info(...Array.from({ length: 2_500 }, (_, i) => `x${i}: a`)),
        431,
        'headers_too_large',
      ),
    ],
  },
  {
    id: 'H19',
    says: 'The same credential header stands once.',
    cases: [
      sent(
        'two Authorization',
        (s) => paid(s, [`content-length: ${BODY.length}`, `Authorization: Bearer sk-${'1'.repeat(64)}`]),
        400,
        'ambiguous_credentials',
      ),
      sent(
        'two X-Cashu',
        (s) => paid(s, [`content-length: ${BODY.length}`, 'x-cashu: cashuBa', 'X-Cashu: cashuBb']),
        400,
        'ambiguous_credentials',
      ),
    ],
  },
  {
    id: 'H20',
    says: 'X-Cashu wins over Authorization: the key is not charged when the token is none.',
    cases: [
      sent(
        'both',
        (s) => paid(s, [`content-length: ${BODY.length}`, 'x-cashu: cashuBnonsense']),
        400,
        'invalid_cashu_token',
      ),
    ],
  },
  {
    id: 'H21',
    says: 'Expectations that cannot be met are said so.',
    cases: [
      sent(
        'banana',
        (s) => paid(s, [`content-length: ${BODY.length}`, 'expect: banana']),
        417,
        'bad_request',
      ),
    ],
  },
  {
    id: 'H22',
    says: 'Upgrades are ignored.',
    cases: ['h2c', 'websocket'].map((protocol) =>
      sent(
        protocol,
        request('GET /v1/chat/completions', ['connection: upgrade', `upgrade: ${protocol}`]),
        405,
        'method_not_allowed',
      ),
    ),
  },
  {
    id: 'H23',
    says: 'A path is what it is, letter by letter.',
    cases: [
      got('/%zz', 400, 'bad_request'),
      ...['/%2e%2e/v1/info', '//v1/info', '/v1/../admin', '/v1/info.', '/V1/info'].map((path) =>
        got(path, 404, 'not_found'),
      ),
    ],
  },
  {
    id: 'H24',
    says: 'Unknown query parameters are ignored and pollute nothing; a known one stands once.',
    cases: [
      got('/v1/info?__proto__[x]=1&constructor[prototype][x]=1&a[]=&a=1&a=2', 200),
      got('/v1/wallet/create?cashu_token=cashuBa&cashu_token=cashuBb', 400, 'invalid_cashu_token'),
      got('/v1/wallet/create?__proto__=cashuBa', 400, 'missing_param'),
    ],
  },
  {
    id: 'H25',
    says: 'A body that ends early reserves nothing.',
    cases: [
      {
        what: 'FIN in the middle',
        ask: (s) => s.bytes(paid(s, ['content-length: 5000'], '{"model"'), { fin: true }),
        expected: [...BAD],
      },
    ],
  },
  {
    id: 'H26',
    says: 'Compressed bodies are refused unread, so that there are no bombs.',
    cases: [
      posted(
        '100 MB in 100 kB',
        gzipSync(Buffer.alloc(100_000_000)),
        { 'content-encoding': 'gzip' },
        415,
        'unsupported_encoding',
      ),
    ],
  },
  {
    id: 'H27',
    says: 'So is what only claims to be compressed.',
    cases: ['zstd', 'gzip', 'gzip, br'].map((encoding) =>
      posted(encoding, BODY, { 'content-encoding': encoding }, 415, 'unsupported_encoding'),
    ),
  },
  {
    id: 'H28',
    says: 'JSON is UTF-8.',
    cases: ['utf-16', 'bogus', '"latin1"'].map((charset) =>
      posted(
        charset,
        BODY,
        { 'content-type': `application/json; charset=${charset}` },
        415,
        'unsupported_media_type',
      ),
    ),
  },
  {
    id: 'H29',
    says: 'A body says what it is.',
    cases: ['text/plain', 'application/x-www-form-urlencoded', ''].map((type) =>
      posted(type || 'no type', BODY, { 'content-type': type }, 415, 'unsupported_media_type'),
    ),
  },
  {
    id: 'H30',
    says: 'No header lends a privilege.',
    cases: ['X-Forwarded-For', 'X-Real-IP', 'X-9r-real-ip', 'Forwarded'].flatMap((name) => [
      sent(
        `${name} for an account`,
        request('GET /v1/wallet/info', [`${name}: 127.0.0.1`]),
        401,
        'missing_api_key',
      ),
      sent(`${name} for the operator`, request('GET /admin', [`${name}: 127.0.0.1`]), 404, 'not_found'),
    ]),
  },
  {
    id: 'H32',
    says: 'Headers that do not end are waited for only so long.',
    cases: [sent('half a request', 'GET /v1/info HTTP/1.1\r\nhost: a\r\nx-a: ', 408, 'request_timeout')],
  },
  {
    id: 'C3',
    says: 'Without an operator there are no operator pages, rather than open ones.',
    cases: ['/admin', '/admin/', '/admin/api', '/login'].map((path) => got(path, 404, 'not_found')),
  },
  {
    id: 'P12',
    says: 'An API key opens no operator path under /v1.',
    cases: ['/v1/admin', '/v1/admin/withdraw', '/v1/settings'].map((path) => ({
      what: path,
      ask: (s: Stage) => s.get(path, { authorization: `Bearer ${s.key}` }),
      expected: [404, 'not_found'] as [number, string],
    })),
  },
];
