/** Section J: bodies of chat requests. */
import { bearer } from '../e2e/support.ts';
import { DONE, completion, delta, jsonAnswer, request, sse, usageEvent } from '../e2e/wire-kit.ts';
import { CANARY, type Case, type Row, type Stage, ask } from './kit.ts';

const json = (text: string): string => JSON.stringify(ask()).replace(/\}$/, `,${text}}`);
const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

const body = (what: string, content: unknown, ...expected: Case['expected']): Case => ({
  what,
  ask: (s) => s.chat(content),
  expected,
});
/** Bytes that `fetch` would write otherwise. */
const bytes = (what: string, content: Buffer, ...expected: Case['expected']): Case => ({
  what,
  ask: (s) => {
    const head = request('POST /v1/chat/completions', [
      'content-type: application/json',
      `authorization: Bearer ${s.key}`,
      `content-length: ${content.length}`,
    ]);
    return s.bytes(Buffer.concat([Buffer.from(head), content]));
  },
  expected,
});
const refused = (what: string, extra: Record<string, unknown>, code: string): Case =>
  body(what, ask(extra), 400, code);
/** Served, and `sent` is what the AI server got. */
const served = (
  what: string,
  content: unknown,
  sent: (body: Record<string, unknown>) => void = () => undefined,
): Case => ({
  ...body(what, content, 200),
  moves: 'money',
  check: (_answer, s) => sent(s.upstream.bodies.at(-1) as Record<string, unknown>),
});
const same = (what: string, got: unknown, wanted: unknown): void => {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) throw new Error(`${what} is ${JSON.stringify(got)}`);
};
const image = (url: string) => ({
  messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
});
const tool = (parameters: unknown) => ({
  tools: [{ type: 'function', function: { name: 'f', parameters } }],
});
const message = { role: 'user', content: CANARY };
const many = (count: number): (typeof message)[] => Array.from({ length: count }, () => message);

const LONE = 'a\\ud800b\\u0000c';

export const JSON_BODIES: readonly Row[] = [
  {
    id: 'J1',
    says: 'JSON is JSON.',
    cases: [
      body('cut off', '{"model":"raw-model","messages":[', 400, 'invalid_json'),
      body('NaN', json('"temperature":NaN'), 400, 'invalid_json'),
      body('a trailing comma', json('"a":1,'), 400, 'invalid_json'),
      body('a comment', json('"a":1/* b */'), 400, 'invalid_json'),
      body('two values', `${JSON.stringify(ask())}{}`, 400, 'invalid_json'),
    ],
  },
  {
    id: 'J2',
    says: 'Nothing is not JSON.',
    cases: ['', '   '].map((text) => body(`"${text}"`, text, 400, 'invalid_json')),
  },
  {
    id: 'J3',
    says: 'A value that is no object is no request.',
    cases: ['null', '"hi"', '42', 'true'].map((text) => body(text, text, 400, 'invalid_request')),
  },
  { id: 'J4', says: 'Neither is a list.', cases: [body('[]', '[]', 400, 'invalid_request')] },
  {
    id: 'J5',
    says: 'A field stands once, however it is spelled.',
    cases: [
      body('two models', json('"model":"other"'), 400, 'duplicate_keys'),
      body('two models, one escaped', json('"mod\\u0065l":"other"'), 400, 'duplicate_keys'),
      body('two limits', json('"max_tokens":1,"max_tokens":4000'), 400, 'duplicate_keys'),
      {
        what: 'two amounts of a refund',
        ask: (s) => s.post('/v1/wallet/refund', '{"amount_sats":1,"amount_sats":2}', bearer(s.key)),
        expected: [400, 'duplicate_keys'],
      },
    ],
  },
  {
    id: 'J6',
    says: 'Keys that would become a prototype are refused; others are data.',
    cases: [
      body('__proto__', json('"__proto__":{"stream":true}'), 400, 'invalid_request'),
      body('__proto__ inside', json('"a":{"__proto__":1}'), 400, 'invalid_request'),
      served('constructor', json('"metadata":{"constructor":{"prototype":{"stream":true}}}')),
    ],
  },
  {
    id: 'J7',
    says: 'Nesting ends at 64.',
    cases: [
      body('5,000', json(`"a":${deep(5_000)}`), 400, 'json_too_deep'),
      body('100,000', json(`"a":${deep(100_000)}`), 400, 'json_too_deep'),
      body('only open brackets', '['.repeat(200_000), 400, 'json_too_deep'),
      body('65', json(`"a":${deep(64)}`), 400, 'json_too_deep'),
      {
        what: '100,000 for an account, whose body is hashed',
        ask: (s) =>
          s.post('/v1/wallet/refund', `{"a":${deep(100_000)}}`, {
            ...bearer(s.key),
            'idempotency-key': 'deep',
          }),
        expected: [400, 'json_too_deep'],
      },
      served('64', json(`"a":${deep(63)}`)),
    ],
  },
  {
    id: 'J8',
    says: 'Text is UTF-8 without a mark; what JSON can spell is data.',
    cases: [
      bytes('a byte that is none', Buffer.from(json('"a":"\u00ff"'), 'latin1'), 400, 'invalid_utf8'),
      bytes(
        'an encoded surrogate',
        Buffer.from(json('"a":"@@@"').replace('@@@', '\xed\xa0\x80'), 'latin1'),
        400,
        'invalid_utf8',
      ),
      bytes('a byte order mark', Buffer.from(`\ufeff${JSON.stringify(ask())}`), 400, 'invalid_utf8'),
      served('an escaped lone surrogate and a NUL', json(`"user":"${LONE}"`), ({ user }) =>
        same('user', user, 'a\ud800b\0c'),
      ),
    ],
  },
  {
    id: 'J9',
    says: 'A body is at most 32 MiB.',
    cases: [body('40 MB', ask({ user: 'x'.repeat(40_000_000) }), 413, 'payload_too_large')],
  },
  {
    id: 'J10',
    says: 'Lists are bounded; a long name is a long prompt.',
    cases: [
      refused('10,001 messages', { messages: many(10_001) }, 'too_many_items'),
      refused('100,000 tools', { tools: Array.from({ length: 100_000 }, () => 0) }, 'too_many_items'),
      body('a million empty objects', json(`"a":[${'{},'.repeat(1_000_000)}{}]`), 400, 'too_many_items'),
      served('a name of 1 M', ask({ messages: [{ ...message, name: 'x'.repeat(1_000_000) }] })),
    ],
  },
  {
    id: 'J11',
    says: 'A limit is a whole number above 0; more than the model can is the most that it can.',
    cases: [
      ...[-1, 0, 1.5, '100', true, [5]].map((value) =>
        refused(JSON.stringify(value), { max_tokens: value }, 'invalid_max_tokens'),
      ),
      body('1e400', json('"max_tokens":1e400'), 400, 'invalid_max_tokens'),
      body('2^53 + 1', json('"max_tokens":9007199254740993'), 400, 'invalid_max_tokens'),
      refused('the newer field', { max_completion_tokens: -5 }, 'invalid_max_tokens'),
      served('a million', ask({ max_tokens: 1_000_000 }), ({ max_tokens: sent }) => same('it', sent, 4_096)),
      served('as much as the model can', ask({ max_completion_tokens: 4_096 }), (sent) =>
        same('it', sent['max_completion_tokens'], 4_096),
      ),
    ],
  },
  {
    id: 'J12',
    says: 'Two limits agree.',
    cases: [
      refused('5 and 4,000', { max_tokens: 5, max_completion_tokens: 4_000 }, 'invalid_max_tokens'),
      served('5 and 5', ask({ max_tokens: 5, max_completion_tokens: 5 })),
    ],
  },
  {
    id: 'J13',
    says: 'Answers are counted, and hidden ones are not sold.',
    cases: [
      ...[1_000, 9, 0, 1.5, '2'].map((n) =>
        refused(`n of ${JSON.stringify(n)}`, { n }, 'unsupported_parameter'),
      ),
      refused('best_of', { best_of: 5 }, 'unsupported_parameter'),
      served('logprobs, which cost nothing', ask({ logprobs: true, top_logprobs: 2 })),
    ],
  },
  {
    id: 'J14',
    says: 'A stream is asked for with true, and always counted.',
    cases: [
      refused('stream as text', { stream: 'true' }, 'invalid_request'),
      refused('options as text', { stream: true, stream_options: 'x' }, 'invalid_request'),
      refused(
        'include_usage as text',
        { stream: true, stream_options: { include_usage: 'no' } },
        'invalid_request',
      ),
      {
        what: 'include_usage false',
        ask: streamed,
        expected: [200],
        moves: 'money',
        check: ({ text }, s) => {
          same('include_usage', s.upstream.bodies.at(-1).stream_options, { include_usage: true });
          if (text.includes('"usage"')) throw new Error('usage was sent though it was not wanted');
        },
      },
    ],
  },
  {
    id: 'J15',
    says: 'What an AI server would charge extra for is refused; what is not known is passed on.',
    cases: [
      ...['priority', 'scale'].map((service_tier) =>
        refused(service_tier, { service_tier }, 'unsupported_parameter'),
      ),
      refused('web search', { web_search_options: {} }, 'unsupported_parameter'),
      refused('a live search', { search_parameters: { mode: 'on' } }, 'unsupported_parameter'),
      refused('a plugin', { plugins: [{ id: 'web' }] }, 'unsupported_parameter'),
      refused(
        'a tool of the AI server',
        { tools: [{ type: 'openrouter:web_search' }] },
        'unsupported_parameter',
      ),
      refused('a dearer model to fall back on', { models: ['gpt-dear'] }, 'unsupported_parameter'),
      refused('a dearer server behind the AI server', { provider: { only: ['x'] } }, 'unsupported_parameter'),
      served('a wish for privacy', ask({ provider: { data_collection: 'deny' } }), ({ provider }) =>
        same('it', provider, { data_collection: 'deny' }),
      ),
      served('empty lists of them', ask({ plugins: [], models: [], tools: [null, 5] })),
      refused('audio', { modalities: ['text', 'audio'] }, 'unsupported_parameter'),
      served('a field of tomorrow', ask({ tomorrow: { a: 1 } }), ({ tomorrow }) =>
        same('it', tomorrow, { a: 1 }),
      ),
      served('reasoning', ask({ reasoning_effort: 'high' })),
    ],
  },
  {
    id: 'J16',
    says: 'No AI server is asked to keep what a buyer said.',
    cases: [
      served('store', ask({ store: true, user: 'u', metadata: { a: 'b' } }), ({ store, metadata }) => {
        same('store', store, false);
        same('metadata', metadata, { a: 'b' });
      }),
    ],
  },
  {
    id: 'J17',
    says: 'Images are data: the node fetches nothing.',
    cases: [
      served('a file', ask(image('file:///etc/passwd'))),
      served('a private address', ask(image('http://10.0.0.1/x.png'))),
      {
        ...served('a listener here', undefined),
        ask: (s) => s.chat(ask(image(`http://127.0.0.1:${s.trap.port}/x.png`))),
      },
      served('an SVG', ask(image(`data:image/svg+xml,<svg onload="fetch('http://127.0.0.1:1')"/>`))),
      body('40 MB', ask(image(`data:image/png;base64,${'A'.repeat(40_000_000)}`)), 413, 'payload_too_large'),
    ],
  },
  {
    id: 'J18',
    says: 'Schemas of tools are data, too, and count as prompt.',
    cases: [
      {
        ...served('a reference', undefined),
        ask: (s) => s.chat(ask(tool({ $ref: `http://127.0.0.1:${s.trap.port}/s.json` }))),
      },
      served('a pattern of 1 MB', ask(tool({ type: 'string', pattern: '(a+)+$'.repeat(170_000) }))),
    ],
  },
  {
    id: 'J19',
    says: 'A model is one of the list, letter by letter.',
    cases: [
      body('none', { messages: [message] }, 400, 'missing_param'),
      ...[
        7,
        null,
        {},
        'x'.repeat(10_000),
        '../etc',
        'r\u0430w-model',
        ' raw-model',
        'RAW-MODEL',
        '',
        '__proto__',
        'constructor',
      ].map((model) => body(JSON.stringify(model).slice(0, 20), ask({ model }), 404, 'model_not_found')),
    ],
  },
  {
    id: 'J21',
    says: 'Whether a prompt fits is for the AI server to count; its refusal is passed on and costs nothing.',
    cases: [
      {
        what: 'a prompt that is too long',
        ask: async (s) => {
          const error = { message: 'too long', code: 'context_length_exceeded' };
          s.upstream.answer(jsonAnswer(400, { error }));
          const answer = await s.chat(ask());
          s.upstream.answer(jsonAnswer(200, completion()));
          return answer;
        },
        expected: [400, 'context_length_exceeded'],
        moves: 'intent',
      },
    ],
  },
  {
    id: 'J22',
    says: 'An empty account hears what it needs and what it has.',
    cases: [
      {
        what: '1 sat',
        ask: async (s) => {
          const key = s.secret(await s.world.key(1));
          return s.chat(ask({ messages: [{ role: 'user', content: 'word '.repeat(20_000) }] }), {
            authorization: `Bearer ${key}`,
          });
        },
        expected: [402, 'insufficient_balance'],
        moves: 'money',
        check: ({ json: { error } }) => {
          same('available_msats', error.metadata.available_msats, 1_000);
          if (!(error.metadata.required_msats > 1_000)) throw new Error('no required_msats');
        },
      },
    ],
  },
];

async function streamed(s: Stage) {
  s.upstream.answer(
    sse(delta({ role: 'assistant', content: 'Hi' }), delta({}, 'stop'), usageEvent(3, 1), DONE),
  );
  const answer = await s.chat(ask({ stream: true, stream_options: { include_usage: false } }));
  s.upstream.answer(jsonAnswer(200, completion()));
  return answer;
}
