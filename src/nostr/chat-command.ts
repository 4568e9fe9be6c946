/** Chat commands: what a person means by one message. Pure. */
import { LIMITS } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';

export type ChatCommand =
  /** Ecash anywhere in the text makes it a deposit, whatever else it says. */
  | { kind: 'deposit'; tokens: Secret[]; /** So many more were in it, and are not taken. */ beyond: number }
  | { kind: 'help' | 'balance' | 'new' | 'stop' }
  | { kind: 'models' | 'model' | 'price' | 'system'; text: string }
  | { kind: 'topup'; sats: number }
  /** All of it without an amount. */
  | { kind: 'refund'; sats: number | undefined }
  /** Looks like a command and is none, or lacks something: never charged as a prompt. */
  | { kind: 'wrong'; say: string }
  | { kind: 'prompt'; text: string }
  | { kind: 'nothing' };

const TOKEN = /cashu[AB][A-Za-z0-9_\-+/=]{16,}/g;

/** What a program meant for the other reader of letters must not be answered by a model, and charged. */
const FRAME = /^\{(?=[\s\S]*"t"\s*:\s*"(?:req|part|cancel|ack|get|ping)")[\s\S]*\}$/;

export function readChat(message: string): ChatCommand {
  const tokens = message.match(TOKEN);
  if (tokens) {
    const distinct = [...new Set(tokens)];
    const taken = distinct.slice(0, LIMITS.chat.tokensMax).map((token) => new Secret(token));
    return { kind: 'deposit', tokens: taken, beyond: distinct.length - taken.length };
  }
  const text = message.trim();
  if (text === '') return { kind: 'nothing' };
  if (FRAME.test(text)) return wrong('This is a frame of dmi/1, which belongs into a rumor of kind 28421.');
  if (!text.startsWith('/')) return { kind: 'prompt', text };
  const [, word = '', rest = ''] = /^\/(\S*)\s*([\s\S]*)$/.exec(text) ?? [];
  return command(word.toLowerCase(), rest.trim());
}

function command(word: string, rest: string): ChatCommand {
  switch (word) {
    case 'help':
    case 'start':
      return { kind: 'help' };
    case 'balance':
    case 'new':
    case 'stop':
      return { kind: word };
    case 'models':
      return { kind: 'models', text: rest };
    case 'system':
      return { kind: 'system', text: rest };
    case 'model':
    case 'price':
      return { kind: word, text: rest };
    case 'topup': {
      const sats = wholeSats(rest);
      return sats === undefined ? wrong('Say how many sats, as in /topup 1000.') : { kind: 'topup', sats };
    }
    case 'refund': {
      const sats = wholeSats(rest);
      if (rest !== '' && sats === undefined)
        return wrong('Say /refund, or how many sats, as in /refund 100.');
      return { kind: 'refund', sats };
    }
    default:
      return wrong('There is no such command, and nothing was charged.');
  }
}

const wrong = (say: string): ChatCommand => ({ kind: 'wrong', say });

function wholeSats(text: string): number | undefined {
  const [, digits] = /^(\d{1,9})(?:\s*sats?)?$/i.exec(text) ?? [];
  const sats = Number(digits ?? 0);
  return sats > 0 ? sats : undefined;
}
