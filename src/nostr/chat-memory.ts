/** Chat memory: conversations, in memory only and for an hour; and which model a person chose, for a few days. */
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface Turn {
  role: 'user' | 'assistant';
  content: string;
}

export interface ChatMemory {
  /** What the model is shown before the new message. */
  turns: (sender: string) => readonly Turn[];
  /** Keeps a message and its answer; the oldest go when it gets too much. */
  keep: (sender: string, prompt: string, answer: string) => void;
  system: (sender: string) => string | undefined;
  setSystem: (sender: string, text: string | undefined) => void;
  /** Forgets turns and system text. */
  forget: (sender: string) => void;
  model: (sender: string) => string | undefined;
  setModel: (sender: string, model: string) => void;
}

interface Conversation {
  turns: Turn[];
  system: string | undefined;
  at: number;
}

export function createChatMemory({ clock }: { clock: Clock }): ChatMemory {
  const { chat } = LIMITS;
  /** Least recently used first, in both. */
  const conversations = new Map<string, Conversation>();
  const models = new Map<string, { model: string; at: number }>();

  function touched<Value>(map: Map<string, Value>, name: string, value: Value, max: number): Value {
    map.delete(name);
    map.set(name, value);
    const [oldest] = map.keys();
    if (map.size > max && oldest !== undefined) map.delete(oldest);
    return value;
  }

  function find(sender: string): Conversation | undefined {
    for (const [name, { at }] of conversations) {
      if (clock.monotonic() - at < chat.contextMs) break;
      conversations.delete(name);
    }
    return conversations.get(sender);
  }

  function open(sender: string): Conversation {
    const conversation = find(sender) ?? { turns: [], system: undefined, at: 0 };
    conversation.at = clock.monotonic();
    return touched(conversations, sender, conversation, chat.conversationsMax);
  }

  return {
    turns: (sender) => find(sender)?.turns ?? [],
    keep: (sender, prompt, answer) => {
      const { turns } = open(sender);
      turns.push({ role: 'user', content: prompt }, { role: 'assistant', content: answer });
      const size = (): number => turns.reduce((sum, { content }) => sum + content.length, 0);
      while (turns.length > 0 && (turns.length > 2 * chat.turnsMax || size() > chat.contextCharsMax))
        turns.splice(0, 2);
    },
    system: (sender) => find(sender)?.system,
    setSystem: (sender, text) => {
      open(sender).system = text;
    },
    forget: (sender) => void conversations.delete(sender),
    model: (sender) => {
      const chosen = models.get(sender);
      return chosen && clock.monotonic() - chosen.at < chat.modelMs ? chosen.model : undefined;
    },
    setModel: (sender, model) =>
      void touched(models, sender, { model, at: clock.monotonic() }, chat.modelsChosenMax),
  };
}
