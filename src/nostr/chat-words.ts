/** Chat words: every text that the chat bot says, and how long texts are cut. Pure. */
import type { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';

/** A model as the chat offers it. Prices in msat per 1,000,000 tokens, `request` in msat per message. */
export interface ChatModel {
  id: string;
  aliases: readonly string[];
  in: number;
  out: number;
  request: number;
}

export const HELP = `I answer for ecash. Write a message and I pass it to an AI model; the cost is taken from your balance here.

Paste a Cashu token to pay in, or /topup 1000 for a Lightning invoice.
/balance what you have
/refund everything back as a token, /refund 100 a part
/models which models there are, /models text to search
/model id use this one, /price id what it costs
/system text how the model should behave
/new forget this conversation, /stop end an answer

Your balance belongs to your Nostr key: whoever has it can spend it. I keep conversations in memory only, for an hour.`;

/** Exact: whole sats where it is whole, msat below one sat. */
export function amount(msats: number): string {
  if (Math.abs(msats) < 1000 && msats !== 0) return `${msats} msat`;
  const rest = String(Math.abs(msats) % 1000)
    .padStart(3, '0')
    .replace(/0+$/, '');
  return `${Math.trunc(msats / 1000)}${rest === '' ? '' : `.${rest}`} sat`;
}

export const footer = (cost: number, left: number, model: string): string =>
  `\n\n— cost ${amount(cost)}, left ${amount(left)} · ${model}`;

export function modelList(models: readonly ChatModel[], query: string, current: string | undefined): string {
  const wanted = query.toLowerCase();
  const found = models.filter(({ id, aliases }) =>
    [id, ...aliases].some((name) => name.toLowerCase().includes(wanted)),
  );
  if (models.length === 0) return 'No model is sold here at the moment.';
  if (found.length === 0) return `No model here has “${query.slice(0, 80)}” in its name. /models lists all.`;
  const shown = found.slice(0, LIMITS.chat.modelsListed);
  const lines = shown.map((model) => `${model.id === current ? '• ' : ''}${model.id}: ${rates(model)}`);
  const more = found.length - shown.length;
  const tail = more > 0 ? [`… and ${more} more; /models text searches.`] : [];
  return ['Prices per million tokens, in and out:', ...lines, ...tail].join('\n');
}

const rates = ({ in: input, out, request }: ChatModel): string =>
  `${amount(input)} in, ${amount(out)} out${request > 0 ? `, ${amount(request)} per message` : ''}`;

/** Rounded up as a bill is. */
export function priceText(model: ChatModel): string {
  const typical = Math.ceil((1_000 * model.in + 500 * model.out) / 1_000_000) + model.request;
  return `${model.id}: ${rates(model)} per million tokens. A message of 1,000 tokens with an answer of 500 costs ${amount(typical)}.`;
}

/** What went wrong, and what to do about it in a chat. Errors of HTTP speak of headers and keys. */
export function refusal(error: NodeError): string {
  switch (error.code) {
    case 'payment_required':
      return 'You have no balance here yet. Paste a Cashu token, or write /topup 1000 for a Lightning invoice.';
    case 'insufficient_balance': {
      const needed = error.options.metadata?.['required_msats'];
      const have = error.options.metadata?.['available_msats'];
      const numbers =
        typeof needed === 'number' && typeof have === 'number'
          ? ` It takes ${amount(needed)}; you have ${amount(have)}.`
          : '';
      return `Your balance is too small, and nothing was charged.${numbers} Paste a Cashu token, or write /topup 1000.`;
    }
    case 'model_not_found':
      return 'That model is not sold here any more. /models lists what is; nothing was charged.';
    case 'nothing_to_refund':
      return 'There is nothing to pay out.';
    case 'refund_busy':
      return 'A message of yours is being answered; try again when it is done.';
    case 'idempotency_key_reused':
    case 'already_charged':
    case 'operation_in_progress':
      return 'I have seen this message before, so it is not charged again. Write it anew if you got no answer.';
    default:
      return error.message;
  }
}

/** Parts of at most `bytesMax` bytes, cut at a line, a space, or else between two characters. */
export function cut(text: string, bytesMax: number = LIMITS.chat.replyBytesMax): string[] {
  const parts: string[] = [];
  let rest = text;
  while (Buffer.byteLength(rest) > bytesMax) {
    const fits = Buffer.from(rest)
      .subarray(0, bytesMax)
      .toString('utf8')
      .replace(/\uFFFD+$/, '');
    const at = Math.max(fits.lastIndexOf('\n'), fits.lastIndexOf(' '));
    const end = at > fits.length / 2 ? at : fits.length;
    parts.push(rest.slice(0, end));
    rest = rest.slice(end).replace(/^[ \n]/, '');
  }
  return [...parts, rest];
}
