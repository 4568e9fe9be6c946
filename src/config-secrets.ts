/** Secrets of the configuration: references `env:NAME` and `file:PATH` become Secret values, and nothing else does. */
import { readFile, stat } from 'node:fs/promises';
import { platform } from 'node:os';
import { join, resolve } from 'node:path';
import { NodeError } from './base/error.ts';
import { LIMITS } from './base/limits.ts';
import { ifExists, unreadable } from './base/missing.ts';
import { Secret } from './base/secret.ts';
import { nodeKey } from './relay/key.ts';
import type { Problem } from './config-problem.ts';
import type { Env } from './config-read.ts';
import type { Settings } from './config-schema.ts';

export interface ConfigSecrets {
  /** Where the Nostr key lives; absent if the key comes from the environment. */
  nsecFile?: string;
  /** nsec1… or hex. Absent until `init` made the file. */
  nsec?: Secret;
  /** API keys by upstream id; upstreams without a key have no entry. */
  upstreamKeys: Map<string, Secret>;
}

/** What was found, and what is wrong. `missing` are references to things that do not exist (yet). */
export interface ResolvedSecrets {
  secrets: ConfigSecrets;
  problems: Problem[];
  missing: Problem[];
}

type Found = { secret: Secret } | { missing: string } | { problem: string };

/** Windows has no such permission bits; every file there would look open. */
export const modeCounts = platform() !== 'win32';

export async function resolveSecrets(
  settings: Settings,
  place: { env: Env; baseDir: string },
): Promise<ResolvedSecrets> {
  const result: ResolvedSecrets = { secrets: { upstreamKeys: new Map() }, problems: [], missing: [] };
  await resolveNsec(settings, place, result);
  for (const [index, upstream] of settings.upstreams.entries()) {
    if (upstream.api_key === undefined) continue;
    const path = `upstreams[${index}].api_key`;
    const found = await read(upstream.api_key, place);
    if ('secret' in found) result.secrets.upstreamKeys.set(upstream.id, found.secret);
    else if ('missing' in found) result.missing.push({ path, message: found.missing });
    else result.problems.push({ path, message: found.problem });
  }
  return result;
}

async function resolveNsec(
  settings: Settings,
  place: { env: Env; baseDir: string },
  result: ResolvedSecrets,
): Promise<void> {
  const path = 'identity.nsec';
  const reference = settings.identity.nsec ?? `file:${join(settings.data_dir, 'nsec')}`;
  if (reference.startsWith('file:')) {
    result.secrets.nsecFile = resolve(place.baseDir, reference.slice('file:'.length));
  }
  const found = await read(reference, place);
  if ('problem' in found) result.problems.push({ path, message: found.problem });
  else if ('missing' in found) {
    // The file is made by init; a variable can only be set by the operator.
    if (result.secrets.nsecFile === undefined) result.missing.push({ path, message: found.missing });
  } else if (isNostrKey(found.secret)) result.secrets.nsec = found.secret;
  else result.problems.push({ path, message: 'does not hold a Nostr secret key (nsec1… or 64 hex digits)' });
}

function isNostrKey(secret: Secret): boolean {
  try {
    return nodeKey(secret).pubkey.length > 0;
  } catch (error) {
    if (error instanceof NodeError) return false;
    throw error;
  }
}

async function read(reference: string, place: { env: Env; baseDir: string }): Promise<Found> {
  if (reference.startsWith('env:')) {
    const name = reference.slice('env:'.length);
    const value = place.env[name]?.trim();
    return value ? { secret: new Secret(value) } : { missing: `the environment variable ${name} is not set` };
  }
  const file = resolve(place.baseDir, reference.slice('file:'.length));
  return readFrom(file).catch((error: unknown) => ({ problem: unreadable(file, error) }));
}

async function readFrom(file: string): Promise<Found> {
  const info = await ifExists(stat(file));
  if (info === undefined) return { missing: `there is no file at ${file}` };
  if (!info.isFile()) return { problem: `${file} is not a file` };
  if (modeCounts && (info.mode & 0o077) !== 0) {
    const mode = (info.mode & 0o777).toString(8).padStart(4, '0');
    return { problem: `${file} can be read by others (mode ${mode}); run: chmod 600 ${file}` };
  }
  if (info.size > LIMITS.config.secretBytesMax) return { problem: `${file} is too large for a secret` };
  const value = (await readFile(file, 'utf8')).trim();
  return value === '' ? { problem: `${file} is empty` } : { secret: new Secret(value) };
}
