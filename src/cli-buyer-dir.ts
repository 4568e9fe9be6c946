/** The buyer's own directory: what discovery remembers, and the key that pays over encrypted messages. */
import { join, resolve } from 'node:path';
import { EXIT, ExitError } from './base/error.ts';
import type { CliIo } from './cli-context.ts';
import { pubkeyOf } from './relay/key.ts';

/** Variable that names the directory. */
const VARIABLE = 'ROUTSTR_BUYER_DIR';
export const BUYER_DIR_HELP = `your own directory (default: $${VARIABLE}, then ~/.routstr-buyer)`;

/** Undefined where neither an option nor the environment says where a person keeps things. */
export function buyerDir({ env, cwd }: CliIo, option: string | undefined): string | undefined {
  const named = option ?? env[VARIABLE];
  if (named !== undefined && named !== '') return resolve(cwd, named);
  const home = env['HOME'] ?? env['USERPROFILE'];
  return home === undefined || home === '' ? undefined : join(home, '.routstr-buyer');
}

/** Hex keys of npubs on the command line. */
export function pubkeysOf(npubs: readonly string[] | undefined, option: string): string[] {
  return (npubs ?? []).map((npub) => {
    const pubkey = pubkeyOf(npub);
    if (pubkey === undefined) throw new ExitError(EXIT.usage, `${option}: expected npub1… or 64 hex digits`);
    return pubkey;
  });
}
