import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { refusal } from '../../src/upstream/refusal.ts';

const KEY = 'opkey_very_secret_1';
const NOW = Date.parse('2026-01-01T00:00:00Z');
const refuse = (status: number, body: unknown, head: { retryAfter?: string; retryAfterMs?: string } = {}) =>
  refusal(
    { status, retryAfter: undefined, retryAfterMs: undefined, ...head },
    Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    KEY,
    NOW,
  );

test('what is wrong with the request is told in the upstream words', () => {
  const error = {
    message: 'Context window exceeded.',
    type: 'invalid_request_error',
    code: 'context_length_exceeded',
    param: 'messages',
  };
  const told = refuse(400, { error });
  expect([told.status, told.message, told.type, told.wireCode, told.options.param]).toEqual([
    400,
    error.message,
    error.type,
    error.code,
    error.param,
  ]);
});

test.each([404, 413, 422])('%i keeps its status', (status) => {
  expect(refuse(status, { error: { message: 'no' } })).toMatchObject({
    status,
    code: 'upstream_rejected',
    message: 'no',
  });
});

describe('what is never told', () => {
  test('the key of the operator, and what looks like one', () => {
    const message = `Incorrect ${KEY}, sk-proj-AbCdEf0123456789, org-abcdef123, Bearer abcdef123456`;
    const told = refuse(400, { error: { message } });
    expect(told.message).not.toMatch(/secret|AbCdEf|abcdef/);
  });

  test.each(['Insufficient balance', 'Key not found', 'proofs already spent'])(
    '"%s": clients would take it for their own money',
    (message) => {
      expect(refuse(413, { error: { message } }).message).toBe('The AI server refused this request.');
    },
  );

  test.each([
    ['insufficient_quota', 'insufficient_balance'],
    ['token_already_spent', 'token_already_spent'],
    ['not_found', 'invalid_api_key'],
  ])('type %s and code %s, which are our own', (type, code) => {
    const told = refuse(400, { error: { message: 'm', type, code } });
    expect([told.type, told.wireCode]).toEqual(['upstream_rejected', 'upstream_rejected']);
  });

  test('more than a bound, control characters, or what is no text', () => {
    const told = refuse(400, {
      error: { message: `a\r\n\u001b[31m${'x'.repeat(100_000)}`, code: 400, type: { a: 1 } },
    });
    expect(told.message).toHaveLength(LIMITS.upstream.errorTextCharsMax);
    expect(told.message).not.toMatch(/\p{Cc}/u);
    expect([told.type, told.wireCode]).toEqual(['upstream_rejected', 'upstream_rejected']);
  });

  test('anything of 401, 402, 403 and 5xx', () => {
    for (const status of [301, 401, 402, 403, 405, 500, 503, 529]) {
      const told = refuse(status, { error: { message: 'secret words', code: 'x' } });
      expect([told.status, told.code]).toEqual([502, 'upstream_error']);
      expect(told.message).not.toContain('secret');
    }
  });
});

test.each(['', '<html>no</html>', '[]', 'null', '{"error":null}'])('a body like %j is no trouble', (body) => {
  expect(refuse(400, body)).toMatchObject({
    code: 'upstream_rejected',
    message: 'The AI server refused this request.',
  });
});

test('bodies that put the error elsewhere are read as well', () => {
  expect(refuse(400, { error: 'plain' }).message).toBe('plain');
  expect(refuse(400, { message: 'at the top' }).message).toBe('at the top');
});

test.each([
  [{ retryAfter: '7' }, 7_000],
  [{ retryAfterMs: '250', retryAfter: '7' }, 250],
  [{ retryAfter: 'Thu, 01 Jan 2026 00:00:30 GMT' }, 30_000],
  [{ retryAfter: '99999999' }, LIMITS.upstream.retryAfterMaxMs],
  [{ retryAfter: '-5' }, 1_000],
  [{ retryAfter: 'soon' }, 1_000],
  [{}, 1_000],
])('429 with %j asks to wait %i ms', (head, ms) => {
  expect(refuse(429, '', head).options.retryAfterMs).toBe(ms);
});

test('the timeouts of others are ours', () => {
  expect(refuse(408, '').code).toBe('upstream_timeout');
  expect(refuse(504, '').code).toBe('upstream_timeout');
});
