/** createMemory: what a buyer remembers between runs, in one private JSON file: announcements, proofs of address, history. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import { msat } from '../base/money.ts';
import { eventSchema } from '../relay/event.ts';

const { discover, announce } = LIMITS;
const pubkey = z.string().regex(/^[0-9a-f]{64}$/);
const seconds = z.int().nonnegative();
const price = z.int().nonnegative().max(announce.msatMax).transform(msat);

const modelSchema = z.object({
  id: z.string().min(1).max(LIMITS.json.modelIdCharsMax),
  in: price,
  out: price,
  ctx: z.int().nonnegative(),
  maxOut: z.int().nonnegative(),
  io: z.string().max(32),
});

/** What `/v1/info` of a provider proved, and its price list if its announcement has none. */
const proofSchema = z.object({
  pubkey,
  at: seconds,
  urls: z.array(z.string().max(2_048)).max(announce.urlsMax),
  latencyMs: z.number().nonnegative(),
  models: z.array(modelSchema).max(discover.cachedModelsMax).optional(),
});

/** Own requests. `latencyMs` is a moving average of the time until the answer began. */
const recordSchema = z.object({
  pubkey,
  ok: z.int().nonnegative(),
  failed: z.int().nonnegative(),
  latencyMs: z.number().nonnegative().optional(),
  at: seconds,
});

const fileSchema = z.object({
  v: z.literal(1),
  events: z.array(eventSchema).max(discover.cachedEventsMax),
  trust: z.array(eventSchema).max(discover.cachedTrustMax),
  proofs: z.array(proofSchema).max(discover.cachedEventsMax),
  history: z.array(recordSchema).max(discover.historyMax),
});

export type Proof = z.infer<typeof proofSchema>;
export type Record = z.infer<typeof recordSchema>;
/** Events are shape-checked only: whoever reads them verifies them. */
export type Remembered = Omit<z.infer<typeof fileSchema>, 'v'>;

interface Noted {
  pubkey: string;
  ok: boolean;
  latencyMs?: number;
  at: number;
}

export interface Memory {
  /** Empty if there is no file, or one that is damaged, too large or of another version. Never rejects. */
  read: () => Promise<Remembered>;
  /** Reads, changes and writes; within this process one at a time. Never rejects: a buyer can do without. */
  update: (change: (remembered: Remembered) => Remembered) => Promise<void>;
  /** Notes how one request to a provider went. */
  note: (request: Noted) => Promise<void>;
}

const NOTHING: Remembered = { events: [], trust: [], proofs: [], history: [] };

/** @param options.dir the buyer's own directory; made with mode 0700 if it is missing. */
export function createMemory(options: { dir: string; log: Logger }): Memory {
  const { dir, log } = options;
  const path = join(dir, 'discovery.json');
  let turn: Promise<void> = Promise.resolve();

  const read = async (): Promise<Remembered> => {
    try {
      if ((await stat(path)).size > discover.cacheBytesMax) throw new Error('too large');
      return fileSchema.parse(JSON.parse(await readFile(path, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        log.warn('client.memory.unreadable', { error: errorKind(error) });
      }
      return NOTHING;
    }
  };

  const write = async (remembered: Remembered): Promise<void> => {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const unfinished = `${path}.${hex(randomBytes(6))}.new`;
    const file = await open(unfinished, 'wx', 0o600);
    try {
      await file.writeFile(JSON.stringify({ v: 1, ...bounded(remembered) }));
      await file.sync();
      await file.close();
      await rename(unfinished, path);
    } catch (error) {
      await file.close().catch(() => undefined);
      await rm(unfinished, { force: true });
      throw error;
    }
  };

  const update: Memory['update'] = (change) => {
    turn = turn
      .then(async () => write(change(await read())))
      .catch((error: unknown) => log.warn('client.memory.unwritable', { error: errorKind(error) }));
    return turn;
  };

  /** Requests that came while the file was being written are noted together. */
  const noted: Noted[] = [];
  let noting: Promise<void> | undefined;

  return {
    read,
    update,
    note: (request) => {
      noted.push(request);
      noting ??= turn.then(async () => {
        noting = undefined;
        const all = noted.splice(0);
        await update((remembered) => ({
          ...remembered,
          history: all.reduce<Record[]>(withRequest, remembered.history),
        }));
      });
      return noting;
    },
  };
}

function withRequest(history: readonly Record[], { pubkey: who, ok, latencyMs, at }: Noted): Record[] {
  const known = history.find((one) => one.pubkey === who);
  const entry: Record = {
    pubkey: who,
    ok: (known?.ok ?? 0) + (ok ? 1 : 0),
    failed: (known?.failed ?? 0) + (ok ? 0 : 1),
    at,
    ...average(known?.latencyMs, latencyMs),
  };
  return [entry, ...history.filter((one) => one.pubkey !== who)];
}

/** Recent requests count more: a provider that became slow is noticed within a handful of them. */
const NEWEST_WEIGHT = 0.3;

function average(known: number | undefined, measured: number | undefined): { latencyMs?: number } {
  if (measured === undefined) return known === undefined ? {} : { latencyMs: known };
  if (known === undefined) return { latencyMs: measured };
  return { latencyMs: known + (measured - known) * NEWEST_WEIGHT };
}

/** Newest first, so that the oldest are forgotten. */
function bounded({ events, trust, proofs, history }: Remembered): Remembered {
  const fits = <T>(list: readonly T[], time: (one: T) => number, max: number): T[] =>
    [...list].sort((a, b) => time(b) - time(a)).slice(0, max);
  return {
    events: events.slice(0, discover.cachedEventsMax),
    trust: fits(trust, (one) => one.created_at, discover.cachedTrustMax),
    proofs: fits(proofs, (one) => one.at, discover.cachedEventsMax),
    history: fits(history, (one) => one.at, discover.historyMax),
  };
}
