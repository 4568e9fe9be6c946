/** The node's own files as `doctor` sees them: data directory, free space, key and seed, the whole ledger. Changes none. */
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT } from './base/error.ts';
import { LIMITS } from './base/limits.ts';
import { ifExists, unreadable } from './base/missing.ts';
import type { Config } from './config.ts';
import { modeCounts } from './config-secrets.ts';
import { type Check, type DoctorTools, about, exitOf } from './doctor-check.ts';
import { auditLedger } from './ledger/level.ts';
import { isSound } from './node-audit.ts';
import {
  FOREIGN_SEED,
  type NodeSecrets,
  SEED_MARK,
  ledgerDir,
  mirrorDir,
  readNodeSecrets,
  seedFile,
  seedMark,
} from './node-data.ts';

export interface Books {
  checks: Check[];
  secrets?: NodeSecrets;
  /** Another process holds the ledger: perhaps the node itself, which is then the one to ask. */
  held: boolean;
}

export async function examineBooks(config: Config, tools: DoctorTools): Promise<Books> {
  const data = await dataDirectory(config);
  if (data.some(({ state }) => state === 'fail')) return { checks: data, held: false };
  const { check: key, secrets } = await keyAndSeed(config);
  const ledger = await books(config, tools, secrets);
  return {
    checks: [...data, ...(await spaces(config)), key, ...(ledger.check === undefined ? [] : [ledger.check])],
    held: ledger.held,
    ...(secrets === undefined ? {} : { secrets }),
  };
}

async function dataDirectory({ data_dir: dir }: Config): Promise<Check[]> {
  const { ok, warn, fail } = about('data', dir);
  const info = await ifExists(stat(dir)).catch((error: unknown) => unreadable(dir, error));
  if (typeof info === 'string')
    return [fail(EXIT.refused, info, "run as the node's own user, or correct data_dir")];
  if (info === undefined) return [fail(EXIT.refused, 'there is no such directory', 'run: routstr-node init')];
  const mayWrite = await access(dir, constants.R_OK | constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!mayWrite)
    return [
      fail(EXIT.refused, 'this user may not write there', `give the directory to the user of the node`),
    ];
  const found: Check[] = [];
  if (modeCounts && (info.mode & 0o077) !== 0)
    found.push(warn('other users of this machine can look into it', `run: chmod 700 ${dir}`));
  const seed = await ifExists(stat(seedFile({ data_dir: dir })));
  if (modeCounts && seed !== undefined && (seed.mode & 0o077) !== 0)
    found.push(
      warn(
        'other users can read the seed, which is the ecash of this node',
        `run: chmod 600 ${join(dir, 'seed')}`,
      ),
    );
  if ((await statfs(dir)).type === TMPFS)
    found.push(
      warn(
        'it is kept in memory (tmpfs): a reboot loses it, and what you owe with it',
        'set data_dir to a disk',
      ),
    );
  return found.length > 0 ? found : [ok('it is for this user alone and can be written')];
}

/** Linux names it by this number. */
const TMPFS = 0x01021994;

/** The disk of the ledger, and that of the mirror where it is another. */
async function spaces(config: Config): Promise<Check[]> {
  const mirror = mirrorDir(config);
  const places = [{ dir: ledgerDir(config), inside: config.data_dir }];
  if (mirror !== undefined) places.push({ dir: mirror, inside: mirror });
  const found = new Map<number, Check>();
  for (const { dir, inside } of places) {
    const info = await stat(inside).catch(() => undefined);
    if (info === undefined || found.has(info.dev)) continue;
    found.set(info.dev, await space(dir, inside));
  }
  return [...found.values()];
}

async function space(dir: string, inside: string): Promise<Check> {
  const { ok, warn, fail } = about('space', inside);
  const { bavail, bsize } = await statfs(inside);
  const free = bavail * bsize;
  const laid = (await stat(join(dir, 'ballast')).catch(() => undefined))?.size === LIMITS.ledger.ballastBytes;
  const kept = `${mega(LIMITS.ledger.ballastBytes)} are kept back for a full disk`;
  const ballast = laid ? `; ${kept}` : '';
  const needed = LIMITS.ledger.roomBytes + (laid ? 0 : LIMITS.ledger.ballastBytes);
  if (free < needed)
    return fail(
      EXIT.storageFull,
      `${mega(free)} are free, ${mega(needed)} are needed`,
      'free some disk space',
    );
  if (free < LIMITS.doctor.spaceBytes)
    return warn(
      `only ${mega(free)} are free${ballast}`,
      'free some space: a full disk stops the node from selling',
    );
  return ok(`${mega(free)} are free${ballast}`);
}

const mega = (bytes: number): string => `${Math.floor(bytes / 1_048_576).toLocaleString('en-US')} MiB`;

async function keyAndSeed(config: Config): Promise<{ check: Check; secrets?: NodeSecrets }> {
  const { ok, fail } = about('key');
  try {
    const secrets = await readNodeSecrets(config);
    return { check: ok(`the node is ${secrets.key.npub}; its seed is there`), secrets };
  } catch (error) {
    const known = exitOf(error);
    return {
      check:
        known === undefined
          ? fail(
              EXIT.refused,
              'the seed cannot be read: it is no list of 12 words',
              `put the words of your backup into ${seedFile(config)}`,
            )
          : fail(known.exit, known.message),
    };
  }
}

/** Recomputes all of it, as `audit --offline` does. No check of a ledger that is in use: others know more about that. */
async function books(
  config: Config,
  { log }: DoctorTools,
  secrets: NodeSecrets | undefined,
): Promise<{ check?: Check; held: boolean }> {
  const { ok, warn, fail } = about('ledger', ledgerDir(config));
  try {
    const audit = await auditLedger({ dir: ledgerDir(config), mirror: mirrorDir(config), log });
    const { totals, entries, unfinished, blocked, witness } = audit;
    const equity = Object.values(totals.equity).reduce((sum, amount) => sum + amount, 0);
    const mark = audit.rows('value').get(SEED_MARK);
    const told = `${entries} entries verified, drift ${totals.drift} msat`;
    const check = (): Check => {
      if (secrets !== undefined && mark !== undefined && mark !== seedMark(secrets))
        return fail(EXIT.refused, FOREIGN_SEED, `put the words of your backup into ${seedFile(config)}`);
      // The mirror has a line of its own.
      const facts = { drift_msat: totals.drift, equity_msat: equity, equity: totals.equity, mirror: null };
      if (!isSound(facts))
        return fail(EXIT.error, `${told}, ${equity} msat are the operator's`, 'run: routstr-node audit');
      if (blocked > 0)
        return warn(`${told}; ${blocked} operations wait for you`, 'run: routstr-node wallet recover');
      if (witness.mirror?.state === 'incomplete')
        return warn(`${told}; the mirror is incomplete`, 'start the node: it writes what is missing');
      return ok(unfinished === 0 ? told : `${told}; the start finishes ${unfinished} operations`);
    };
    return { check: check(), held: false };
  } catch (error) {
    const known = exitOf(error);
    if (known?.exit === EXIT.ledgerInUse) return { held: true };
    const next =
      known?.exit === EXIT.storageFull ? 'free some disk space' : 'restore a backup, or run init once';
    const says = known?.message ?? 'the ledger cannot be read';
    return { check: fail(known?.exit ?? EXIT.refused, says, next), held: false };
  }
}
