/** What `chat` says: amounts, answers of a stranger's model, and failures with their exit codes. */
import { EXIT, ExitError } from './base/error.ts';
import { ChannelFailure } from './client/channel.ts';
import { Refused } from './client/conversation.ts';
import { DmFailure } from './client/dm.ts';

export const sats = (msats: number): string => String(Number((msats / 1_000).toFixed(3)));

export const footer = (cost: number | undefined, balance: number | undefined): string =>
  [
    cost === undefined ? 'cost unknown' : `cost ${sats(cost)} sat`,
    ...(balance === undefined ? [] : [`left ${sats(balance)} sat`]),
  ].join(', ');

/** A model's words for a terminal: lines and tabs stay, escapes do not. */
export const spoken = (text: string): string => text.replace(/[^\P{Cc}\n\t]/gu, '\u00b7');

/** Failures in the words and exit codes of the command line; what is none of the node's passes as it is. */
export function explained(error: unknown): unknown {
  if (error instanceof Refused) {
    return new ExitError(exitOf(error.status), `${error.code}: ${error.message}`, error);
  }
  if (error instanceof DmFailure) {
    const lost = error.kind === 'no_relay' || error.kind === 'unreachable' || error.kind === 'timeout';
    return new ExitError(lost ? EXIT.unreachable : EXIT.error, error.message, error);
  }
  if (error instanceof RangeError) return new ExitError(EXIT.error, error.message, error);
  if (!(error instanceof ChannelFailure)) return error;
  return new ExitError(error.cancelled ? EXIT.error : EXIT.unreachable, error.message, error);
}

function exitOf(status: number): number {
  if (status === 401 || status === 403) return EXIT.auth;
  if (status === 402) return EXIT.insufficientFunds;
  return status === 404 ? EXIT.notFound : EXIT.error;
}
