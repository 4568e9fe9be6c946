/** Check: one thing that `doctor` looked at, what is true about it, and what to do next. */
import { EXIT, ExitError } from './base/error.ts';
import type { Logger } from './base/log.ts';
import type { Clock } from './base/time.ts';

export type CheckName =
  | 'config'
  | 'data'
  | 'space'
  | 'key'
  | 'ledger'
  | 'listener'
  | 'admin'
  | 'public_url'
  | 'mint'
  | 'rate'
  | 'upstream'
  | 'models'
  | 'relay'
  | 'announcement'
  | 'clock';

export interface Check {
  check: CheckName;
  /** Which one, where there can be several. */
  subject?: string;
  /** `warn`: the node starts and serves all the same. */
  state: 'ok' | 'warn' | 'fail';
  says: string;
  next?: string;
  /** With `fail`: the exit code that it leads to. */
  exit?: number;
}

export interface DoctorTools {
  clock: Clock;
  log: Logger;
}

/** Where the checks of one thing differ only in what they say. */
export interface Verdicts {
  ok: (says: string) => Check;
  warn: (says: string, next: string) => Check;
  /** Without `next` where `says` tells it already. */
  fail: (exit: number, says: string, next?: string) => Check;
}

export function about(check: CheckName, subject?: string): Verdicts {
  const what = { check, ...(subject === undefined ? {} : { subject }) };
  return {
    ok: (says) => ({ ...what, state: 'ok', says }),
    warn: (says, next) => ({ ...what, state: 'warn', says, next }),
    fail: (exit, says, next) => ({
      ...what,
      state: 'fail',
      says,
      ...(next === undefined ? {} : { next }),
      exit,
    }),
  };
}

/** What would end `start` comes first, then what does not answer. */
const ORDER: readonly number[] = [
  EXIT.refused,
  EXIT.storageFull,
  EXIT.ledgerInUse,
  EXIT.unavailable,
  EXIT.unreachable,
  EXIT.auth,
];

/** 0 only if nothing failed. */
export function exitCodeOf(checks: readonly Check[]): number {
  const failed = checks.filter(({ state }) => state === 'fail').map(({ exit }) => exit ?? EXIT.error);
  if (failed.length === 0) return EXIT.ok;
  return ORDER.find((code) => failed.includes(code)) ?? EXIT.error;
}

/** Code of the system or of TLS in an error or its causes; `timeout` where time ran out. */
export function codeOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const { code } = at as { code?: unknown };
    if (typeof code === 'string' && /^(E[A-Z]|CERT|UNABLE|DEPTH|SELF|ERR_TLS|UND_ERR)/.test(code))
      return code;
    if (at.name === 'TimeoutError' || at.name === 'AbortError' || code === 'upstream_timeout')
      return 'timeout';
  }
  return undefined;
}

/** A code as a sentence; codes that nobody listed are named. */
export function spelled(code: string | undefined): string {
  if (code === undefined) return 'it cannot be reached';
  const known = SENTENCES[code];
  if (known !== undefined) return known;
  if (/CERT|UNABLE|SELF|ERR_TLS/.test(code)) return `its certificate is not accepted (${code})`;
  const status = /^http_(\d+)$/.exec(code)?.[1];
  return status === undefined ? `it cannot be reached (${code})` : `it answers with status ${status}`;
}

const SENTENCES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name is not known (DNS)',
  EAI_AGAIN: 'its name cannot be looked up now (DNS)',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'it closes the connection',
  UND_ERR_SOCKET: 'it closes the connection',
  EHOSTUNREACH: 'there is no way to this address',
  ENETUNREACH: 'this machine has no network',
  ETIMEDOUT: 'it does not answer in time',
  UND_ERR_CONNECT_TIMEOUT: 'it does not answer in time',
  timeout: 'it does not answer in time',
  private_address: 'its name leads to a private address',
  not_json: 'it answers something else than JSON',
};

/** What made an exit, or undefined for any other failure. */
export const exitOf = (error: unknown): { exit: number; message: string } | undefined =>
  error instanceof ExitError ? { exit: error.exitCode, message: error.message } : undefined;
