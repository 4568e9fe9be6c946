import { createHash, randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  type ClientFrame,
  type NodeFrame,
  frameText,
  readClientFrame,
  readNodeFrame,
} from '../../src/protocol/dmi.ts';
import { createPartsInbox, packBody, unpackBody } from '../../src/protocol/dmi-body.ts';

const id = '0123456789abcdef0123456789abcdef';
const sha = 'a'.repeat(64);
const request = { v: 1, t: 'req', id, exp: 1, method: 'POST', path: '/v1/chat/completions?x=1' } as const;

describe('frames', () => {
  const fromClient: ClientFrame[] = [
    request,
    {
      ...request,
      body: '{}',
      auth: { bearer: 'sk-x' },
      max_msat: 5,
      stream: {},
      durable: true,
      h: { accept: '*/*' },
    },
    { ...request, parts: { n: 2, bytes: 3, sha256: sha }, auth: { cashu: 'cashuBx' } },
    { t: 'part', id, i: 63, z: 'AA==' },
    { t: 'cancel', id },
    { t: 'ack', id },
    { t: 'get', id, from: 4, need_parts: [0, 5] },
    { t: 'ping', n: 0 },
  ];
  const fromNode: NodeFrame[] = [
    { t: 'acc', id, est_msat: 1, need_parts: [0] },
    { t: 'data', id, seq: 0, d: '{}' },
    { t: 'data', id, seq: 1, e: 'message_stop', z: 'AA==' },
    {
      t: 'res',
      id,
      status: 200,
      cost_msat: 0,
      last: 2,
      sha256: sha,
      change: 'cashuBx',
      usage: { total_tokens: 1 },
    },
    {
      t: 'err',
      id,
      status: 402,
      code: 'insufficient_balance',
      message: 'no',
      need_msat: 5,
      pay: { mints: [], unit: 'sat', amount: 1 },
    },
    { t: 'part', id, i: 0, z: 'AA==' },
    { t: 'pong', n: 7 },
  ];
  test.each(fromClient)('client: $t', (frame) =>
    expect(readClientFrame(frameText(frame))).toEqual({ frame }),
  );
  test.each(fromNode)('node: $t', (frame) => expect(readNodeFrame(frameText(frame))).toEqual({ frame }));

  test('unknown fields are ignored, unknown frames are told apart', () => {
    expect(readClientFrame(JSON.stringify({ ...request, later: 1 }))).toEqual({ frame: request });
    expect(readClientFrame(JSON.stringify({ t: 'later', id }))).toEqual({ refused: 'unsupported', id });
    expect(readClientFrame(JSON.stringify({ t: 'acc', id }))).toEqual({ refused: 'unsupported', id });
  });

  test.each([
    ['no JSON', '{'],
    ['nothing', ''],
    ['null', 'null'],
    ['a list', '[]'],
    ['no type', '{}'],
  ])('%s is no frame', (_name, content) => {
    expect(readClientFrame(content)).toEqual({ refused: 'bad_request' });
  });

  test.each([
    ['an upper-case id', { id: id.toUpperCase() }, undefined],
    ['another version', { v: 2 }, id],
    ['another method', { method: 'PATCH' }, id],
    ['an address in place of a path', { path: 'https://example.com/' }, id],
    ['a path that is an authority', { path: '//example.com/' }, id],
    ['a path with a space', { path: '/v1/ models' }, id],
    ['a path with a fragment', { path: '/v1/models#x' }, id],
    ['two bodies', { body: '', z: '' }, id],
    ['too many parts', { parts: { n: 65, bytes: 1, sha256: sha } }, id],
    ['too large a body', { parts: { n: 1, bytes: 8 * 1024 * 1024 + 1, sha256: sha } }, id],
    ['half a msat', { max_msat: 0.5 }, id],
    ['a header that is no text', { h: { accept: 1 } }, id],
  ])('%s is refused', (_name, fields, named) => {
    const refused = named === undefined ? { refused: 'bad_request' } : { refused: 'bad_request', id: named };
    expect(readClientFrame(JSON.stringify({ ...request, ...fields }))).toEqual(refused);
  });

  test('27,000 bytes are a frame, one more is not', () => {
    const empty = Buffer.byteLength(frameText({ t: 'part', id, i: 0, z: '' }));
    const full = { t: 'part', id, i: 0, z: 'A'.repeat(27_000 - empty) } as const;
    expect(readClientFrame(frameText(full))).toEqual({ frame: full });
    expect(() => frameText({ ...full, z: `${full.z}A` })).toThrow(RangeError);
    expect(readClientFrame(JSON.stringify({ ...full, z: `${full.z}A` }))).toEqual({ refused: 'too_large' });
    expect(readClientFrame(JSON.stringify({ ...full, z: 'é'.repeat(13_500) }))).toEqual({
      refused: 'too_large',
    });
  });
});

describe('bodies', () => {
  const there = async (bytes: Buffer) => {
    const { fields, parts } = await packBody(bytes);
    if (fields.parts === undefined) return { how: Object.keys(fields), bytes: await unpackBody(fields) };
    const inbox = createPartsInbox(fields.parts);
    for (const part of [...parts].reverse()) expect(inbox.take(part)).toBe(true);
    for (const part of parts) expect(frameText({ ...part, id }).length).toBeLessThanOrEqual(27_000);
    expect(inbox.missing()).toEqual([]);
    return { how: parts.length, bytes: await inbox.body() };
  };
  test.each([
    ['nothing', Buffer.alloc(0), ['body']],
    ['a short text', Buffer.from('{"é":1}'), ['body']],
    ['few bytes that are no text', Buffer.from([0xff, 0xfe]), ['z']],
    ['a long text', Buffer.from('{"a":"hello"},'.repeat(1_000)), ['z']],
    ['what does not deflate', randomBytes(16_000), 1],
    ['what just fits into 64 parts', randomBytes(1_240_000), 64],
  ])('%s arrives as it was', async (_name, bytes, how) => {
    const arrived = await there(bytes);
    expect(arrived.bytes.equals(bytes)).toBe(true);
    expect(arrived.how).toEqual(how);
  });

  test('too large a body is not even begun', async () => {
    await expect(packBody(Buffer.alloc(8 * 1024 * 1024 + 1))).rejects.toThrow(RangeError);
    await expect(packBody(randomBytes(1_260_000))).rejects.toThrow(RangeError);
  });

  test('a small text that inflates to much is cut off', async () => {
    const bomb = deflateRawSync(Buffer.alloc(9 * 1024 * 1024)).toString('base64');
    expect(bomb.length).toBeLessThan(20_000);
    await expect(unpackBody({ z: bomb })).rejects.toThrow();
    const inbox = createPartsInbox({ n: 1, bytes: 1_000, sha256: sha });
    inbox.take({ i: 0, z: bomb });
    await expect(inbox.body()).rejects.toThrow();
    await expect(unpackBody({ z: 'AAAA' })).rejects.toThrow();
  });

  test('parts that are missing are named, twice is once, and what was not announced is not taken', async () => {
    const bytes = randomBytes(70_000);
    const { fields, parts } = await packBody(bytes);
    const announced = fields.parts ?? { n: 0, bytes: 0, sha256: '' };
    const inbox = createPartsInbox(announced);
    expect(inbox.missing()).toEqual([0, 1, 2, 3]);
    inbox.take(parts[2] ?? { i: 9, z: '' });
    inbox.take({ i: 2, z: 'AAAA' });
    expect(inbox.take({ i: 4, z: 'AAAA' })).toBe(false);
    expect(inbox.missing()).toEqual([0, 1, 3]);
    await expect(inbox.body()).rejects.toThrow();
    for (const part of parts) inbox.take(part);
    expect((await inbox.body()).equals(bytes)).toBe(true);
  });

  test('a body that is not the announced one is refused', async () => {
    const bytes = randomBytes(70_000);
    const { fields, parts } = await packBody(bytes);
    const { n } = fields.parts ?? { n: 0 };
    const right = createHash('sha256').update(bytes).digest('hex');
    for (const announced of [
      { n, bytes: bytes.length, sha256: sha },
      { n, bytes: bytes.length + 1, sha256: right },
    ]) {
      const inbox = createPartsInbox(announced);
      for (const part of parts) inbox.take(part);
      await expect(inbox.body()).rejects.toThrow(/announced/);
    }
  });

  test('relays that take less get smaller parts', async () => {
    const { parts } = await packBody(randomBytes(20_000), { inFrame: 1_000, inPart: 4_000 });
    expect(parts.length).toBe(7);
    for (const part of parts) expect(part.z.length).toBeLessThanOrEqual(4_000);
  });
});
