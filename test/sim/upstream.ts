/** Two AI servers that sell one model, and everything that they do wrong. */
import { type Cancel, onCancel } from '../../src/base/cancel.ts';
import { NodeError } from '../../src/base/error.ts';
import { ZERO } from '../../src/base/money.ts';
import type { Clock } from '../../src/base/time.ts';
import { echo, streamChunks, usageChunk, wholeAnswer } from '../../src/demo/model-answer.ts';
import type { JsonObject } from '../../src/protocol/openai.ts';
import type { Catalogue, Offer } from '../../src/upstream/catalogue.ts';
import type { Chunks, Upstream, UpstreamAnswer } from '../../src/upstream/upstream.ts';

export type UpstreamMood =
  'fine' | 'refuses' | 'hangs' | 'breaks-off' | 'truncates' | 'no-usage' | 'absurd-usage';
export const SIM_MODEL = 'sim-model';

export function createSimUpstream(parts: {
  id: string;
  clock: Clock;
  random: () => number;
  mood: () => UpstreamMood;
}): Upstream {
  const { id, clock, random, mood } = parts;
  let answers = 0;

  async function complete({
    body,
    stream,
    work,
  }: Parameters<Upstream['complete']>[0]): Promise<UpstreamAnswer> {
    const today = mood();
    await unlessCancelled(work, clock.sleep(5 + random() * 40));
    if (today === 'refuses') throw new NodeError('upstream_unavailable', 'refused');
    if (today === 'hangs') {
      await unlessCancelled(work, clock.sleep(20_000));
      throw new NodeError('upstream_timeout', 'silent');
    }
    const said = echo(JSON.parse(body.toString()) as JsonObject, ++answers, clock.now());
    const absurd = { prompt_tokens: -5, completion_tokens: 1e300 };
    const usage = today === 'no-usage' ? undefined : today === 'absurd-usage' ? absurd : said.usage;
    if (!stream) {
      if (today === 'breaks-off') throw new NodeError('upstream_error', 'broke off');
      const text = JSON.stringify(wholeAnswer(said, usage));
      const whole = Buffer.from(today === 'truncates' ? text.slice(0, text.length / 2) : text);
      return { status: 200, contentType: 'application/json', whole };
    }
    const events = [...streamChunks(said), ...(usage ? [usageChunk(said, usage)] : [])];
    return { status: 200, contentType: 'text/event-stream', chunks: chunksOf(pieces(events, today, work)) };
  }

  async function* pieces(
    events: JsonObject[],
    today: UpstreamMood,
    work: Cancel,
  ): AsyncGenerator<Buffer, undefined> {
    for (const [i, event] of events.entries()) {
      await unlessCancelled(work, clock.sleep(1 + random() * 15));
      if (i > 1 && i * 2 > events.length) {
        if (today === 'breaks-off') throw new NodeError('upstream_error', 'broke off');
        if (today === 'truncates') return;
      }
      yield Buffer.from(`data: ${JSON.stringify(event)}\n\n`);
    }
    yield Buffer.from('data: [DONE]\n\n');
  }

  return {
    id,
    complete,
    listModels: () => Promise.resolve({}),
    close: () => Promise.resolve(),
  };
}

const chunksOf = (source: AsyncGenerator<Buffer, undefined>): Chunks => ({
  [Symbol.asyncIterator]: () => source,
  take: (use, failed) => source.next().then(use, failed),
  ended: () => false,
});

function unlessCancelled(work: Cancel, wait: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    onCancel(work, () => reject(work.reason ?? new Error('cancelled')));
    void wait.then(resolve);
  });
}

/** In msat per million tokens; about what the kill loop's configuration comes to. */
const PRICE = { in: 55_000_000, out: 166_000_000, cached: 55_000_000, requestFee: ZERO, minimum: ZERO };

export function createSimCatalogue(upstreams: readonly Upstream[]): Catalogue {
  const offers = upstreams.map(
    (upstream) =>
      ({
        modelId: SIM_MODEL,
        upstreamId: 'echo',
        contextLength: 8_000,
        maxOutputTokens: 500,
        aliasIds: [],
        upstream,
        price: PRICE,
      }) as unknown as Offer,
  );
  return { find: (id: string) => (id === SIM_MODEL ? offers : []) } as unknown as Catalogue;
}
