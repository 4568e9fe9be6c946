/** createConversation: a chat with one model of one node, turn by turn, with what each turn cost. */
import { z } from 'zod';
import type { Channel, ChannelAnswer } from './channel.ts';

export interface Turn {
  text: string;
  /** Msat; undefined if the answer does not say. */
  cost?: number;
}

export interface Conversation {
  readonly model: string;
  /** Goes on with another model. */
  use: (model: string) => void;
  /** The turn counts only if it succeeded. Throws Refused; what the channel throws passes. */
  say: (text: string, onText: (text: string) => void, signal?: AbortSignal) => Promise<Turn>;
  /** Forgets what was said; the system prompt stays. */
  reset: (system?: string) => void;
}

/** The node said no. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'Refused';
    this.status = status;
    this.code = code;
  }
}

interface Message {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

const usage = z.object({ cost_msats: z.number() }).nullish().catch(undefined);
const chunkSchema = z.object({
  choices: z.array(z.object({ delta: z.object({ content: z.string().nullish() }).optional() })).catch([]),
  usage,
});
const wholeSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullish() }) })).catch([]),
  usage,
});
const errorSchema = z.object({
  error: z.object({ message: z.string(), code: z.union([z.string(), z.number()]).nullish() }),
});

export function createConversation(options: {
  channel: Channel;
  model: string;
  system?: string;
}): Conversation {
  const { channel } = options;
  let { model, system } = options;
  let said: Message[] = [];

  return {
    get model() {
      return model;
    },
    use: (id) => (model = id),
    say: async (text, onText, signal) => {
      const turn: Turn = { text: '' };
      let broken: Refused | undefined;
      const take = (content: string | null | undefined, cost: number | undefined): void => {
        if (content) {
          turn.text += content;
          onText(content);
        }
        if (cost !== undefined) turn.cost = cost;
      };
      const messages = [
        ...(system === undefined ? [] : [message('system', system)]),
        ...said,
        message('user', text),
      ];
      const answer = await channel.ask({
        method: 'POST',
        path: '/v1/chat/completions',
        body: { model, stream: true, messages },
        onEvent: (data) => {
          const json = parsedEvent(data);
          broken ??= refusalIn(json, 502);
          const chunk = chunkSchema.safeParse(json).data;
          take(chunk?.choices[0]?.delta?.content, chunk?.usage?.cost_msats);
        },
        ...(signal === undefined ? {} : { signal }),
      });
      refuse(answer);
      if (broken !== undefined) throw broken;
      const whole = wholeSchema.safeParse(answer.json).data;
      take(whole?.choices[0]?.message.content, whole?.usage?.cost_msats);
      said = [...said, message('user', text), message('assistant', turn.text)];
      return turn;
    },
    reset: (prompt = system) => {
      system = prompt;
      said = [];
    },
  };
}

/** Throws Refused for an answer that is a refusal. */
export function refuse(answer: ChannelAnswer): void {
  if (answer.status >= 400) throw refusalOf(answer);
}

/** What a refusal says of itself; its status where it says nothing. */
export const refusalOf = ({ status, json }: ChannelAnswer): Refused =>
  refusalIn(json, status) ?? new Refused(status, 'error', `The node answered with status ${status}.`);

function refusalIn(json: unknown, status: number): Refused | undefined {
  const { error } = errorSchema.safeParse(json).data ?? {};
  return error && new Refused(status, String(error.code ?? 'error'), error.message);
}

const message = (role: Message['role'], content: string): Message => ({ role, content });

function parsedEvent(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    // [DONE]
    return undefined;
  }
}
