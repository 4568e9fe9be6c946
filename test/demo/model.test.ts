import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/time.ts';
import { createTestModel, type TestModel } from '../../src/demo/model.ts';
import { createChatStream } from '../../src/protocol/sse.ts';

let model: TestModel;
beforeEach(async () => {
  model = await createTestModel({ models: ['a', 'vendor/b'] });
});
afterEach(() => model.close());

const post = (more: object = {}, signal: AbortSignal | null = null): Promise<Response> =>
  fetch(`${model.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'a',
      messages: [{ role: 'user', content: 'one two three four' }],
      ...more,
    }),
    signal,
  });
async function observe(response: Response) {
  const stream = createChatStream();
  const out: Buffer[] = [];
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    out.push(...stream.push(Buffer.from(chunk)));
  }
  const { rest, ...facts } = stream.end();
  return { text: Buffer.concat([...out, ...rest]).toString(), facts };
}
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await systemClock.sleep(2);
}

test('echoes the last words of the user', async () => {
  expect(await (await post()).json()).toMatchObject({
    model: 'a',
    choices: [{ message: { role: 'assistant', content: 'one two three four' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 },
  });
});

test('lists its models with prices', async () => {
  const list = (await (await fetch(`${model.url}/v1/models`)).json()) as { data: { id: string }[] };
  expect(list.data.map(({ id }) => id)).toEqual(['a', 'vendor/b']);
});

test('honours max_tokens and n', async () => {
  expect(await (await post({ max_tokens: 2, n: 3 })).json()).toMatchObject({
    choices: Array.from({ length: 3 }, (_, index) => ({
      index,
      message: { content: 'one two' },
      finish_reason: 'length',
    })),
    usage: { completion_tokens: 6 },
  });
});

test('streams, with usage only if it is asked for', async () => {
  const asked = await observe(await post({ stream: true, stream_options: { include_usage: true } }));
  expect(asked.facts).toMatchObject({ complete: true, doneSeen: true, usage: { completionTokens: 4 } });
  const { facts } = await observe(await post({ stream: true }));
  expect(facts.usage).toBeUndefined();
});

test('keeps what arrived', async () => {
  await (await post({ temperature: 0.5 })).text();
  expect(model.requests[0]?.body).toMatchObject({ model: 'a', temperature: 0.5 });
  expect(model.requests[0]?.headers['content-type']).toBe('application/json');
});

test('waits while it is paused, and sees a client leave', async () => {
  model.pause();
  const gone = new AbortController();
  const leaving = post({}, gone.signal);
  const staying = post();
  await until(() => model.stats.open === 2);
  gone.abort();
  await expect(leaving).rejects.toThrow();
  await until(() => model.stats.open === 1);
  model.resume();
  expect((await staying).status).toBe(200);
});

describe('faults', () => {
  const streamed = async (kind: Parameters<TestModel['failNext']>[0]) => {
    model.failNext(kind);
    return observe(await post({ stream: true, stream_options: { include_usage: true } }));
  };

  test('come once, or as often as ordered', async () => {
    model.failNext('status-500', 2);
    expect([(await post()).status, (await post()).status, (await post()).status]).toEqual([500, 500, 200]);
  });
  test('truncate ends without a word', async () => {
    expect((await streamed('truncate')).facts).toMatchObject({
      complete: false,
      empty: false,
      doneSeen: false,
    });
  });
  test('cut destroys the socket', async () => {
    await expect(streamed('cut')).rejects.toThrow();
  });
  test('error-frame', async () => {
    expect((await streamed('error-frame')).facts).toMatchObject({ errorSeen: true, empty: false });
  });
  test('empty', async () => {
    expect((await streamed('empty')).facts).toMatchObject({ empty: true, complete: true });
  });
  test('no-usage and bad-usage leave nothing to believe', async () => {
    expect((await streamed('no-usage')).facts.usage).toBeUndefined();
    expect((await streamed('bad-usage')).facts.usage).toBeUndefined();
    expect((await streamed('bad-usage')).facts.usage).toBeUndefined();
  });
  test('split is the same stream in single bytes', async () => {
    const { text, facts } = await streamed('split');
    expect(text).toContain('\r\n\r\n');
    expect(facts).toMatchObject({ complete: true, usage: { completionTokens: 4 } });
  });
});
