/** loadConfig: flags over environment over node.yaml over defaults, checked as a whole before anything starts. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { NodeError } from './base/error.ts';
import { ifExists, unreadable } from './base/missing.ts';
import { parseRelays } from './relay/config.ts';
import { pubkeyOf } from './relay/key.ts';
import type { RelayConfig } from './relay/relay.ts';
import { type Problem, parseSettings, refuse } from './config-problem.ts';
import { CONFIG_VARIABLE, type Env, applyOverrides, readConfigFile } from './config-read.ts';
import type { Settings } from './config-schema.ts';
import { type ConfigSecrets, modeCounts, resolveSecrets } from './config-secrets.ts';
import { type UrlCheck, checkBaseUrl, checkMintUrl, checkPublicUrl } from './config-url.ts';

/** The file's own keys, checked and normalised; `data_dir` and the paths of `relays` and `mirror` are absolute. */
export type Config = Settings & {
  /** The file it came from. */
  file: string;
  /** Folder of that file; relative paths start here. */
  base_dir: string;
  /** What is allowed but probably not meant. */
  warnings: string[];
  secrets: ConfigSecrets;
  relayList: RelayConfig[];
};

export interface LoadOptions {
  /** Default: ROUTSTR_CONFIG, then node.yaml in the working directory. */
  file?: string | undefined;
  env: Env;
  /** Single values by path, e.g. `{ 'listen.port': '9000' }`. */
  flags?: Readonly<Record<string, string>>;
  cwd: string;
  /** What does not exist (an unset variable, no relays.json) is a warning; for commands that can do without it. */
  lenient?: boolean;
}

/** Throws ExitError(78) with one line per problem. */
export async function loadConfig(options: LoadOptions): Promise<Config> {
  const { env, flags = {}, lenient = false } = options;
  const file = configPath(options);
  const base_dir = dirname(file);
  const { raw, origins, warnings } = applyOverrides(await readConfigFile(file), env, flags);
  const settings = parseSettings(raw, origins);

  const problems: Problem[] = [];
  const checked = normalise(settings, base_dir, problems, warnings);
  crossCheck(checked, problems, warnings);
  const {
    secrets,
    problems: badSecrets,
    missing,
  } = await resolveSecrets(checked, { env, baseDir: base_dir });
  problems.push(...badSecrets);
  const relayList = await readRelays(checked.relays, { problems, missing, warnings });
  const exposed = await exposure(checked.data_dir);
  if (exposed !== undefined) problems.push({ path: 'data_dir', message: exposed });

  if (lenient) warnings.push(...missing.map(({ path, message }) => `${path}: ${message}`));
  else problems.push(...missing);
  if (problems.length > 0) refuse(problems);
  return { ...checked, file, base_dir, warnings, secrets, relayList };
}

export const configPath = ({ file, env, cwd }: LoadOptions): string =>
  resolve(cwd, file ?? (env[CONFIG_VARIABLE] || 'node.yaml'));

/** Paths made absolute, URLs in one form, the same mint kept once. */
function normalise(settings: Settings, baseDir: string, problems: Problem[], warnings: string[]): Settings {
  const take = (path: string, check: UrlCheck): string => {
    if ('problem' in check) problems.push({ path, message: check.problem });
    else if (check.warning !== undefined) warnings.push(`${path}: ${check.warning}`);
    return 'problem' in check ? '' : check.url;
  };
  const mints = settings.mints.map((mint, i) => ({
    ...mint,
    url: take(`mints[${i}].url`, checkMintUrl(mint.url, mint.allow_private)),
  }));
  const { mirror } = settings.ledger;
  return {
    ...settings,
    ledger: typeof mirror === 'string' ? { mirror: resolve(baseDir, mirror) } : settings.ledger,
    data_dir: resolve(baseDir, settings.data_dir),
    relays: typeof settings.relays === 'string' ? resolve(baseDir, settings.relays) : settings.relays,
    public_urls: unique(
      settings.public_urls.map((url, i) => take(`public_urls[${i}]`, checkPublicUrl(url))),
      (url) => url,
    ),
    mints: unique(mints, (mint) => `${mint.url} ${mint.unit}`),
    upstreams: settings.upstreams.map((upstream, i) => ({
      ...upstream,
      base_url: take(`upstreams[${i}].base_url`, checkBaseUrl(upstream.base_url)),
    })),
  };
}

/** Rules that concern more than one key. */
function crossCheck(settings: Settings, problems: Problem[], warnings: string[]): void {
  const { pricing, upstreams, contact } = settings;
  if (contact.npub !== undefined && pubkeyOf(contact.npub) === undefined) {
    problems.push({ path: 'contact.npub', message: 'has a slip of the pen: its checksum does not fit' });
  }
  for (const [i, { id }] of upstreams.entries()) {
    if (upstreams.findIndex((other) => other.id === id) < i) {
      problems.push({ path: `upstreams[${i}].id`, message: 'stands twice; every upstream needs its own id' });
    }
  }
  for (const [i, { models = [] }] of upstreams.entries()) {
    const seen = new Set<string>();
    for (const [j, { id }] of models.entries()) {
      if (seen.has(id)) {
        problems.push({ path: `upstreams[${i}].models[${j}].id`, message: 'stands twice in this upstream' });
      }
      seen.add(id);
    }
  }
  if (upstreams.length === 0) warnings.push('upstreams: none is listed, so nothing is sold');
  if (pricing.mode === 'token') {
    for (const key of ['input_usd_per_million', 'output_usd_per_million'] as const) {
      if (pricing[key] === undefined) {
        problems.push({ path: `pricing.${key}`, message: 'is required when pricing.mode is token' });
      }
    }
  }
  const floor = pricing.request_fee_msats + pricing.minimum_charge_msats;
  if (pricing.mode === 'request' && floor === 0) {
    problems.push({
      path: 'pricing.request_fee_msats',
      message: 'must be above 0 when pricing.mode is request',
    });
  }
  for (const [i, { models = [] }] of upstreams.entries()) {
    for (const [j, model] of models.entries()) {
      if (
        pricing.mode === 'model' &&
        floor === 0 &&
        !model.input_usd_per_million &&
        !model.output_usd_per_million
      ) {
        warnings.push(`upstreams[${i}].models[${j}]: both rates are 0, so this model is given away`);
      }
    }
  }
}

/** relays.json, or the list in its place. */
async function readRelays(
  relays: Settings['relays'],
  found: { problems: Problem[]; missing: Problem[]; warnings: string[] },
): Promise<RelayConfig[]> {
  let json: unknown = relays;
  if (typeof relays === 'string') {
    try {
      const text = await ifExists(readFile(relays, 'utf8'));
      if (text === undefined) {
        found.missing.push({ path: 'relays', message: `there is no file at ${relays}` });
        return [];
      }
      json = JSON.parse(text);
    } catch (error) {
      const message = error instanceof SyntaxError ? `${relays} is not JSON` : unreadable(relays, error);
      found.problems.push({ path: 'relays', message });
      return [];
    }
  }
  try {
    const list = parseRelays(json);
    const plain = list.filter(({ url }) => isPlain(url));
    found.warnings.push(...plain.map(({ url }) => `relays: ${url} is not encrypted (ws://)`));
    return list;
  } catch (error) {
    const said = error instanceof NodeError ? error.message : 'the list of relays is not understood';
    found.problems.push({ path: 'relays', message: said.replace(/^relays:? /, '').replace(/\.$/, '') });
    return [];
  }
}

const isPlain = (url: string): boolean =>
  url.startsWith('ws://') && !/^ws:\/\/(127\.|localhost|\[::1\]|[^/:]+\.onion)/.test(url);

/** A data directory into which every local user can write is somebody else's too. */
async function exposure(dataDir: string): Promise<string | undefined> {
  const info = await ifExists(stat(dataDir)).catch((error: unknown) => unreadable(dataDir, error));
  if (info === undefined || typeof info === 'string') return info;
  if (!info.isDirectory()) return `${dataDir} is not a directory`;
  return modeCounts && (info.mode & 0o002) !== 0
    ? `${dataDir} can be written by every user; run: chmod 700 ${dataDir}`
    : undefined;
}

function unique<T>(list: readonly T[], key: (entry: T) => string): T[] {
  const seen = new Set<string>();
  return list.filter((entry) => !seen.has(key(entry)) && seen.add(key(entry)));
}
