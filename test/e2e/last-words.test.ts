import { expect, onTestFinished, test } from 'vitest';
import { type Json, bearer, chat, events, testWorld, until } from './support.ts';
import { RAW_MODEL, delta, expectCleanFrames, scriptedModel } from './wire-kit.ts';

test('a node that stops tells whoever still waits: a stream ends with an error frame and its bill, a request with 503', async () => {
  const upstream = await scriptedModel();
  onTestFinished(() => upstream.close());
  // Says a word, or nothing, and then never ends.
  upstream.answer((res, { stream }: Json) => {
    if (stream !== true) return;
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(delta({ role: 'assistant', content: 'Hello' }));
  });
  const settings = { ...upstream.settings, limits: { identical_requests: 0, drain_seconds: 1 } };
  const world = await testWorld({ mint: { dleq: false }, settings });
  onTestFinished(() => world.close());
  const key = await world.key(100);
  const ask = (stream: boolean): Promise<Response> =>
    fetch(`${world.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(key) },
      body: JSON.stringify(chat('wait', { model: RAW_MODEL, stream })),
    });
  const streamed = await ask(true);
  const whole = ask(false);
  await until('both are at the AI server', () => upstream.bodies.length === 2);
  const stopped = world.node.stop();
  const [text, refused] = await Promise.all([streamed.text(), whole]);
  await stopped;

  expectCleanFrames(text);
  const chunks = events(text);
  expect(chunks.find(({ error }) => error)?.error).toMatchObject({
    code: 'node_draining',
    metadata: { status: 503 },
  });
  const { cost_msats: cost } = chunks.at(-1).usage;
  expect(cost).toBeGreaterThan(0);
  expect([refused.status, ((await refused.json()) as Json).error.code]).toEqual([503, 'node_draining']);

  await world.reopen().start();
  const info = await fetch(`${world.url}/v1/wallet/info`, { headers: bearer(key) });
  expect(await info.json()).toMatchObject({ balance: 100_000 - cost, reserved: 0 });
});
