/** Chat turn: one message answered by a model and paid like any other request, its rumor's id being what makes it happen once. */
import { type Cancel } from '../base/cancel.ts';
import { newRequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Credential, Receipt } from '../gateway/request.ts';
import { isObject, objectsIn } from '../protocol/openai.ts';
import type { Turn } from './chat-memory.ts';

export interface TurnRequest {
  /** Id of the rumor. */
  id: string;
  credential: Credential;
  model: string;
  system: string | undefined;
  turns: readonly Turn[];
  prompt: string;
  /** Cancelled by /stop: what was made by then is paid. */
  stop: Cancel;
}

export interface TurnAnswer {
  text: string;
  receipt: Receipt;
  /** What the AI server said when it broke off; the text is what came before. */
  failure: string | undefined;
}

/** Throws what `Gateway.serve` throws: then nothing was charged by this call. */
export async function takeTurn(serve: Gateway['serve'], request: TurnRequest): Promise<TurnAnswer> {
  const { id, credential, stop } = request;
  await using answer = await serve({
    id: newRequestId(),
    credential,
    endpoint: 'chat/completions',
    body: bodyOf(request),
    delivery: 'live',
    gone: stop,
    idempotencyKey: `nostr:${id}`,
  });
  const reader = createReader();
  for await (const chunk of answer.chunks) {
    reader.push(chunk);
    if (stop.cancelled || reader.length() > LIMITS.chat.answerCharsMax) break;
  }
  // Disposing settles an answer that was left, and does nothing to one that ended.
  await answer[Symbol.asyncDispose]();
  return { ...reader.result(), receipt: await answer.receipt };
}

function bodyOf({ model, system, turns, prompt }: TurnRequest): Buffer {
  const messages = [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    ...turns,
    { role: 'user', content: prompt },
  ];
  return Buffer.from(JSON.stringify({ model, messages, max_tokens: LIMITS.chat.maxTokens, stream: true }));
}

/** The text in the events of a stream, whatever pieces the bytes come in. */
function createReader() {
  const decoder = new TextDecoder();
  let open = '';
  let text = '';
  let failure: string | undefined;

  function take(event: string): void {
    if (!event.startsWith('data: {')) return;
    const value = parsed(event.slice('data: '.length));
    if (!isObject(value)) return;
    const { error } = value;
    if (isObject(error) && typeof error['message'] === 'string') failure = error['message'];
    const [choice] = objectsIn(value['choices']);
    const delta = choice?.['delta'];
    if (isObject(delta) && typeof delta['content'] === 'string') text += delta['content'];
  }

  return {
    push: (chunk: string | Buffer) => {
      open += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
      const events = open.split('\n\n');
      open = events.pop() ?? '';
      for (const event of events) take(event);
    },
    length: () => text.length,
    result: () => ({ text, failure }),
  };
}

/** Undefined for an event that an AI server broke: the others are paid for. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
