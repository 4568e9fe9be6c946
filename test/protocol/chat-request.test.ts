import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NodeError, type ErrorCode } from '../../src/base/error.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { readChatRequest } from '../../src/protocol/chat-request.ts';

const MESSAGES = [{ role: 'user', content: 'hi' }];
const bytes = (value: unknown): Buffer =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const read = (more: object = {}) => readChatRequest(bytes({ model: 'm', messages: MESSAGES, ...more }));
const codeOf = (body: unknown): ErrorCode | undefined => {
  try {
    readChatRequest(Buffer.isBuffer(body) ? body : bytes(body));
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(NodeError);
    return (error as NodeError).code;
  }
};
const chat = (more: object): object => ({ model: 'm', messages: MESSAGES, ...more });

test('a request is read for what it costs and how it is answered', () => {
  expect(read({ stream: true, max_tokens: 5, n: 2, stream_options: { include_usage: false } })).toMatchObject(
    {
      model: 'm',
      stream: true,
      includeUsage: false,
      maxTokens: 5,
      maxTokensField: 'max_tokens',
      choices: 2,
    },
  );
  expect(read()).toMatchObject({
    stream: false,
    includeUsage: undefined,
    maxTokens: undefined,
    maxTokensField: undefined,
    choices: 1,
  });
});

test('null means that a field was not set', () => {
  const nulls = {
    max_tokens: null,
    n: null,
    stream: null,
    stream_options: null,
    max_completion_tokens: null,
  };
  expect(read(nulls)).toMatchObject({
    maxTokens: undefined,
    choices: 1,
    stream: false,
    includeUsage: undefined,
  });
});

test('prompt tokens are a third of all characters of all strings and keys', () => {
  // model 5 + m 1 + messages 8 + role 4 + user 4 + content 7 + hi 2 = 31
  expect([read().promptTokens, read().readTokens]).toEqual([10, 10]);
  expect(read({ metadata: { äöü: ['😀'] } }).promptTokens).toBe(Math.floor((31 + 8 + 3 + 2) / 3));
});

test('a picture, a sound or a file written as base64 counts for a bill as its pixels do', () => {
  const data = 'A'.repeat(1_000_000);
  const parts = [
    { type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } },
    { type: 'input_audio', input_audio: { format: 'wav', data } },
    { type: 'file', file: { filename: 'a.pdf', file_data: data } },
  ];
  const { promptTokens, readTokens } = read({ messages: [{ role: 'user', content: parts }] });
  expect(promptTokens).toBeGreaterThan(1_000_000);
  expect(readTokens).toBeGreaterThan(3 * LIMITS.json.mediumTokens);
  expect(readTokens).toBeLessThan(3 * LIMITS.json.mediumTokens + 100);

  const said = read({
    messages: [
      { role: 'user', content: data },
      { role: 'user', content: 'data: a '.repeat(9_999) },
    ],
  });
  expect(said.readTokens).toBe(said.promptTokens);
});

describe('the body for an upstream', () => {
  test('is the very bytes of the client if nothing has to change', () => {
    const body = bytes('{"model" : "m",\n "messages":[], "max_tokens":7, "x":1e2}');
    const facts = readChatRequest(body);
    expect(facts.bodyFor({ model: 'm', forceUsage: true })).toBe(body);
    expect(facts.bodyFor({ model: 'm', maxTokens: 7, forceUsage: true })).toBe(body);
  });

  const changed = (more: object, options: Parameters<ReturnType<typeof read>['bodyFor']>[0]): unknown =>
    JSON.parse(read(more).bodyFor(options).toString());

  test('names the model as the upstream does; all else stays', () => {
    expect(changed({ x_unknown: { a: [1] } }, { model: 'vendor/m', forceUsage: false })).toEqual({
      model: 'vendor/m',
      messages: MESSAGES,
      x_unknown: { a: [1] },
    });
  });

  test('asks for usage on every stream, whatever the client wished', () => {
    const forced = { model: 'm', forceUsage: true };
    expect(changed({ stream: true }, forced)).toMatchObject({ stream_options: { include_usage: true } });
    const wish = { include_usage: false, include_obfuscation: false };
    expect(changed({ stream: true, stream_options: wish }, forced)).toMatchObject({
      stream_options: { include_usage: true, include_obfuscation: false },
    });
    expect(changed({}, forced)).not.toHaveProperty('stream_options');
  });

  test('limits the output in the field that the client used', () => {
    const clamp = { model: 'm', maxTokens: 3, forceUsage: false };
    expect(changed({}, clamp)).toMatchObject({ max_tokens: 3 });
    const newer = changed({ max_completion_tokens: 9 }, clamp);
    expect(newer).toMatchObject({ max_completion_tokens: 3 });
    expect(newer).not.toHaveProperty('max_tokens');
    expect(changed({ max_completion_tokens: 9, max_tokens: 9 }, clamp)).not.toHaveProperty('max_tokens');
  });

  test('can be made again for another upstream', () => {
    const facts = read({ stream: true });
    const first = facts.bodyFor({ model: 'a', forceUsage: true }).toString();
    const second = facts.bodyFor({ model: 'b', forceUsage: true }).toString();
    expect(second).toBe(first.replace('"model":"a"', '"model":"b"'));
  });
});

test.each<[string, unknown, ErrorCode]>([
  ['nothing', '', 'invalid_json'],
  ['broken off', '{"model":', 'invalid_json'],
  ['NaN', '{"model":"m","messages":[],"n":NaN}', 'invalid_json'],
  ['a trailing comma', '{"model":"m","messages":[],}', 'invalid_json'],
  ['a comment', '{"model":"m"/**/}', 'invalid_json'],
  ['an unfinished string', '{"model":"m', 'invalid_json'],
  ['null', 'null', 'invalid_request'],
  ['text', '"hi"', 'invalid_request'],
  ['a number', '42', 'invalid_request'],
  ['an array', [], 'invalid_request'],
  ['a byte that is no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'invalid_utf8'],
  ['a byte order mark', `\uFEFF${JSON.stringify(chat({}))}`, 'invalid_utf8'],
  ['two models', '{"model":"cheap","messages":[],"model":"dear"}', 'duplicate_keys'],
  ['two models, one in disguise', '{"model":"cheap","messages":[],"mod\\u0065l":"dear"}', 'duplicate_keys'],
  ['a __proto__', '{"model":"m","messages":[],"__proto__":{"n":50}}', 'invalid_request'],
  [
    'a __proto__ deep inside, in disguise',
    '{"model":"m","messages":[{"__prot\\u006f__":1}]}',
    'invalid_request',
  ],
  ['no model', { messages: [] }, 'missing_param'],
  ['a numeric model', chat({ model: 7 }), 'model_not_found'],
  ['a model of null', chat({ model: null }), 'model_not_found'],
  ['a model name of 10 kB', chat({ model: 'x'.repeat(10_000) }), 'model_not_found'],
  ['no messages', { model: 'm' }, 'invalid_request'],
  ['messages of text', { model: 'm', messages: 'hi' }, 'invalid_request'],
  [
    'too many messages',
    { model: 'm', messages: new Array(LIMITS.json.messagesMax + 1).fill(0) },
    'too_many_items',
  ],
  ['too many tools', chat({ tools: new Array(LIMITS.json.messagesMax + 1).fill(0) }), 'too_many_items'],
  ['a million small values', `{"a":[${'{},'.repeat(1_000_000)}0]}`, 'too_many_items'],
  [
    'many values in an unknown field',
    chat({ a: new Array(LIMITS.json.valuesMax).fill([]) }),
    'too_many_items',
  ],
  ['n = 50', chat({ n: 50 }), 'unsupported_parameter'],
  ['n = 0', chat({ n: 0 }), 'unsupported_parameter'],
  ['n of text', chat({ n: '2' }), 'unsupported_parameter'],
  ['best_of', chat({ best_of: 4 }), 'unsupported_parameter'],
  ['a dearer service tier', chat({ service_tier: 'priority' }), 'unsupported_parameter'],
  ['a paid search', chat({ web_search_options: {} }), 'unsupported_parameter'],
  ['audio', chat({ modalities: ['text', 'audio'] }), 'unsupported_parameter'],
  ['stream of text', chat({ stream: 'true' }), 'invalid_request'],
  ['stream_options of text', chat({ stream_options: 'x' }), 'invalid_request'],
  ['include_usage of text', chat({ stream_options: { include_usage: 'x' } }), 'invalid_request'],
  ['two limits', chat({ max_tokens: 5, max_completion_tokens: 500 }), 'invalid_max_tokens'],
])('%s is refused', (_what, body, code) => {
  expect(codeOf(body)).toBe(code);
});

test.each([-1_000_000, -1, 0, 1.5, '100', true, [], {}, 2 ** 53])(
  'a limit of %j is refused (T4)',
  (value) => {
    expect(codeOf(chat({ max_tokens: value }))).toBe('invalid_max_tokens');
    expect(codeOf(chat({ max_completion_tokens: value }))).toBe('invalid_max_tokens');
  },
);
test('a limit beyond all numbers is refused', () => {
  expect(codeOf('{"model":"m","messages":[],"max_tokens":1e400}')).toBe('invalid_max_tokens');
});

describe('depth', () => {
  const nested = (depth: number, open = '[', close = ']'): string =>
    `{"model":"m","messages":${open.repeat(depth - 1)}${close.repeat(depth - 1)}}`;

  test('up to the bound is served, beyond it refused', () => {
    expect(codeOf(nested(LIMITS.json.depthMax))).toBeUndefined();
    expect(codeOf(nested(LIMITS.json.depthMax + 1))).toBe('json_too_deep');
  });
  test.each([5_000, 1_000_000])('%i levels are refused without a fall', (depth) => {
    expect(codeOf(nested(depth))).toBe('json_too_deep');
    expect(codeOf('['.repeat(depth))).toBe('json_too_deep');
    expect(codeOf(nested(depth, '{"a":', '}'))).toBe('json_too_deep');
  });
  test('brackets inside of a text are text', () => {
    expect(codeOf(chat({ x: '[{'.repeat(1_000) + '\\"' + '\\' }))).toBeUndefined();
  });
});

test('a prompt may speak of __proto__, of duplicate "model" keys and of anything else', () => {
  const content = '{"__proto__":1,"model":"a","model":"b"} \\ \\" \u0000 \ud800';
  expect(read({ messages: [{ role: 'user', content }] }).model).toBe('m');
});

test('property: any JSON object with our fields is read and can be written anew without loss', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (extra) => {
      const reserved = /^(n|stream|stream_options|max_.*|best_of|tools|functions|modalities|__proto__)$/;
      const kept = Object.fromEntries(Object.entries(extra).filter(([key]) => !reserved.test(key)));
      const body = { ...kept, model: 'm', messages: MESSAGES };
      if (JSON.stringify(body).includes('__proto__')) return;
      const written: unknown = JSON.parse(
        readChatRequest(bytes(body)).bodyFor({ model: 'other', forceUsage: true }).toString(),
      );
      expect(written).toEqual(JSON.parse(JSON.stringify({ ...body, model: 'other' })));
    }),
  );
});

test('property: no bytes whatever bring it down', () => {
  const scraps = fc.constantFrom('{', '}', '[', ']', '"', '\\', ':', ',', '"model"', '"m"', 'null', '1', ' ');
  fc.assert(
    fc.property(fc.array(scraps), (parts) => {
      codeOf(parts.join(''));
    }),
    { numRuns: 500 },
  );
});

test('as many values as a body may hold are read', () => {
  const { valuesMax } = LIMITS.json;
  const own = JSON.stringify(chat({ a: [] })).match(/[{[,]/g)?.length ?? 0;
  const filled = chat({ a: new Array(valuesMax - own + 1).fill(0) });
  expect(readChatRequest(Buffer.from(JSON.stringify(filled))).model).toBe('m');
  const over = chat({ a: new Array(valuesMax - own + 2).fill(0) });
  expect(() => readChatRequest(Buffer.from(JSON.stringify(over)))).toThrow('more than 100000 values');
});
