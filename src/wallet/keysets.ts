/** Keysets of one mint: fetched, verified against their ids, refreshed with restraint (NUT-01, NUT-02). */
import { Keyset as CashuKeyset } from '@cashu/cashu-ts';
import { z } from 'zod';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Unit } from '../base/money.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { MintAnswer, MintClient } from './mint-http.ts';
import { canonicalKeysetId } from './mint-url.ts';
import { isPoint } from './token.ts';

export interface KeysetInfo {
  id: string;
  unit: string;
  active: boolean;
  feePpk: number;
  /** Unix seconds after which the mint may forget it. */
  finalExpiry?: number;
  /** Public key by amount; only after they were fetched and matched the id. */
  keys?: Readonly<Record<string, string>>;
}

export interface Keysets {
  /** Loads them once; later calls return at once unless something proved them stale. Throws NodeError. */
  load: () => Promise<void>;
  /** Looks again, at most once per `keysetRefreshMs`. */
  refresh: () => Promise<void>;
  /** The mint refused outputs of `keyset`: look again before the next plan. */
  suspect: (keyset: string) => void;
  /** Keyset for new outputs: cheapest active one of the unit whose keys are verified. */
  active: (unit: Unit) => KeysetInfo | undefined;
  get: (id: string) => KeysetInfo | undefined;
  /** Full ids that begin with `id`, in any unit. */
  matching: (id: string) => string[];
  /** Public keys also of inactive keysets. Throws NodeError. */
  keysOf: (id: string) => Promise<Readonly<Record<string, string>>>;
  loaded: () => boolean;
}

/** New money must stay good for at least this long. */
const EXPIRY_MARGIN_SECONDS = 3_600;

const id = z.string().min(1).max(128);
const keysetList = z.object({
  keysets: z
    .array(
      z.object({
        id,
        unit: z.string().max(64),
        active: z.boolean(),
        input_fee_ppk: z.int().nonnegative().nullish(),
        final_expiry: z.int().nonnegative().nullish(),
      }),
    )
    .max(LIMITS.mint.keysetsMax),
});
const keysList = z.object({
  keysets: z
    .array(z.object({ id, unit: z.string().max(64), keys: z.record(z.string().max(20), z.string().max(66)) }))
    .max(LIMITS.mint.keysetsMax),
});

export function createKeysets(options: {
  client: MintClient;
  clock: Clock;
  log: Logger;
  /** Host of the mint, for logs. */
  mint: string;
  /** False if the id belongs to another listed mint: such a keyset is not used. */
  claim: (keysetId: string) => boolean;
}): Keysets {
  const { client, clock, log, mint, claim } = options;
  let known = new Map<string, KeysetInfo>();
  let loadedAt: number | undefined;
  let stale = false;
  let loading: Promise<void> | undefined;

  async function fetchAll(): Promise<void> {
    // One after the other: a mint that was down lets only one request through to find out whether it is back.
    const list = parse(keysetList, bodyOf(await client.get('/v1/keysets')));
    const keys = parse(keysList, bodyOf(await client.get('/v1/keys')));
    const keysById = new Map(keys.keysets.map((entry) => [canonicalKeysetId(entry.id), entry.keys]));
    const next = new Map<string, KeysetInfo>();
    for (const entry of list.keysets) {
      const keysetId = canonicalKeysetId(entry.id);
      if (!claim(keysetId)) {
        log.error('wallet.keyset.collision', { mint, keyset: keysetId });
        continue;
      }
      const info: KeysetInfo = {
        id: keysetId,
        unit: entry.unit,
        active: entry.active,
        feePpk: entry.input_fee_ppk ?? 0,
        ...(entry.final_expiry ? { finalExpiry: entry.final_expiry } : {}),
      };
      const before = known.get(keysetId);
      if (before !== undefined && before.feePpk !== info.feePpk) {
        log.warn('wallet.keyset.fee_changed', {
          mint,
          keyset: keysetId,
          was: before.feePpk,
          is: info.feePpk,
        });
      }
      const offered = keysById.get(keysetId);
      const verified = offered === undefined ? before?.keys : verify(info, offered);
      next.set(keysetId, verified === undefined ? info : { ...info, keys: verified });
    }
    known = next;
    loadedAt = clock.monotonic();
    stale = false;
    log.info('wallet.keysets.loaded', { mint, keysets: known.size });
  }

  /** Undefined, with an error line, if the keys are not those that the id stands for. */
  function verify(info: KeysetInfo, keys: Record<string, string>): Record<string, string> | undefined {
    const fits =
      Object.keys(keys).length <= LIMITS.mint.keysPerKeysetMax &&
      CashuKeyset.verifyKeysetId({
        id: info.id,
        unit: info.unit,
        active: info.active,
        input_fee_ppk: info.feePpk,
        ...(info.finalExpiry === undefined ? {} : { final_expiry: info.finalExpiry }),
        keys,
      }) &&
      Object.values(keys).every(isPoint);
    if (fits) return keys;
    log.error('wallet.keyset.unverified', { mint, keyset: info.id });
    return undefined;
  }

  function loadOnce(): Promise<void> {
    loading ??= fetchAll().finally(() => (loading = undefined));
    return loading;
  }

  return {
    loaded: () => loadedAt !== undefined,
    load: async () => {
      if (loadedAt === undefined || stale) await loadOnce();
    },
    refresh: async () => {
      const due = loadedAt === undefined || clock.monotonic() - loadedAt >= LIMITS.mint.keysetRefreshMs;
      if (due || stale) await loadOnce();
    },
    suspect: (keyset) => {
      // A refusal of an older plan says nothing about keysets that were loaded after it was made.
      if (known.get(keyset)?.active === true) stale = true;
    },
    active: (unit) => {
      const soon = unixSeconds(clock) + EXPIRY_MARGIN_SECONDS;
      const usable = [...known.values()].filter(
        (keyset) =>
          keyset.active &&
          keyset.unit === unit &&
          keyset.keys !== undefined &&
          /^0[01][0-9a-f]+$/.test(keyset.id) &&
          (keyset.finalExpiry ?? Infinity) > soon,
      );
      return usable.sort((a, b) => a.feePpk - b.feePpk || (a.id < b.id ? 1 : -1))[0];
    },
    get: (keysetId) => known.get(keysetId),
    matching: (prefix) => [...known.keys()].filter((keysetId) => keysetId.startsWith(prefix)),
    keysOf: async (keysetId) => {
      const info = known.get(keysetId);
      if (info?.keys !== undefined) return info.keys;
      if (info === undefined) throw unknownKeyset();
      const answer = await client.get(`/v1/keys/${encodeURIComponent(keysetId)}`);
      if (answer.kind === 'refused') throw unknownKeyset();
      const { keysets } = parse(keysList, bodyOf(answer));
      const offered = keysets.find((entry) => canonicalKeysetId(entry.id) === keysetId);
      const verified = offered === undefined ? undefined : verify(info, offered.keys);
      if (verified === undefined) throw unknownKeyset();
      known.set(keysetId, { ...info, keys: verified });
      return verified;
    },
  };
}

export const unknownKeyset = (): NodeError =>
  new NodeError('unknown_keyset', 'The mint does not know the keyset of a proof in the token.');

const unreachable = (retryAfterMs: number, cause?: unknown): NodeError =>
  new NodeError('mint_unreachable', 'The mint does not answer. The token is untouched; retry it later.', {
    retryAfterMs,
    cause,
  });

function bodyOf(answer: MintAnswer): unknown {
  switch (answer.kind) {
    case 'ok':
      return answer.body;
    case 'limited':
      throw new NodeError(
        'mint_rate_limited',
        'The mint asks for a pause. The token is untouched; retry it.',
        {
          retryAfterMs: answer.retryAfterMs,
        },
      );
    case 'closed':
      throw unreachable(answer.retryAfterMs);
    case 'refused':
    case 'failed':
      throw unreachable(LIMITS.mint.rateLimitedMs);
  }
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (!result.success) throw unreachable(LIMITS.mint.rateLimitedMs, result.error);
  return result.data;
}
