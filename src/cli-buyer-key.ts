/** Secrets of a buyer on the command line: only by reference, env:NAME or file:PATH, never as an argument. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { EXIT, ExitError, NodeError } from './base/error.ts';
import { LIMITS } from './base/limits.ts';
import { ifExists, unreadable } from './base/missing.ts';
import { Secret } from './base/secret.ts';
import { buyerDir } from './cli-buyer-dir.ts';
import type { CliIo } from './cli-context.ts';
import { modeCounts } from './config-secrets.ts';
import { generateNsec, nodeKey } from './relay/key.ts';
import type { NodeKey } from './relay/relay.ts';

/** The secret that `reference` names. Throws ExitError without quoting what it found. */
export async function secretOf(io: CliIo, reference: string, option: string): Promise<Secret> {
  if (reference.startsWith('env:')) {
    const value = io.env[reference.slice('env:'.length)]?.trim();
    if (!value) throw new ExitError(EXIT.usage, `${option}: the environment variable is not set`);
    return new Secret(value);
  }
  if (!reference.startsWith('file:')) {
    throw new ExitError(
      EXIT.usage,
      `${option}: expected env:NAME or file:PATH, so that no secret is an argument`,
    );
  }
  return readSecret(resolve(io.cwd, reference.slice('file:'.length)), option);
}

/**
 * The buyer's Nostr key, which is the account at a node: that of `reference`, else `nsec` in the buyer's directory,
 * made there at the first use.
 */
export async function buyerKey(
  io: CliIo,
  options: { key?: string | undefined; buyerDir?: string | undefined },
): Promise<NodeKey> {
  if (options.key !== undefined) return keyOf(await secretOf(io, options.key, '--key'), '--key');
  const dir = buyerDir(io, options.buyerDir);
  if (dir === undefined) {
    throw new ExitError(EXIT.usage, 'a key is needed: --key env:NAME or file:PATH, or --buyer-dir');
  }
  const file = join(dir, 'nsec');
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(file, `${generateNsec().reveal()}\n`, { flag: 'wx', mode: 0o600 }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  return keyOf(await readSecret(file, file), file);
}

async function readSecret(file: string, option: string): Promise<Secret> {
  const refuse = (cause: unknown): never => {
    throw new ExitError(EXIT.refused, `${option}: ${unreadable(file, cause)}`, cause);
  };
  const info = await ifExists(stat(file)).catch(refuse);
  if (info?.isFile() !== true) throw new ExitError(EXIT.usage, `${option}: there is no file at ${file}`);
  if (modeCounts && (info.mode & 0o077) !== 0) {
    throw new ExitError(EXIT.refused, `${file} can be read by others; run: chmod 600 ${file}`);
  }
  if (info.size > LIMITS.token.charsMax)
    throw new ExitError(EXIT.refused, `${file} is too large for a secret`);
  return new Secret((await readFile(file, 'utf8').catch(refuse)).trim());
}

function keyOf(secret: Secret, where: string): NodeKey {
  try {
    return nodeKey(secret);
  } catch (error) {
    if (!(error instanceof NodeError)) throw error;
    throw new ExitError(EXIT.refused, `${where}: no Nostr secret key (nsec1… or 64 hex digits)`, error);
  }
}
