/** Keysets of one mint: fetched, verified against their ids, refreshed with restraint (NUT-01, NUT-02). */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Unit } from '../base/money.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { readKeys, readKeysetList } from './keyset-answers.ts';
import { checkKeys, type KeysetInfo, takesOutputs } from './keyset-check.ts';
import type { KeysetMemory } from './keyset-memory.ts';
import type { MintClient } from './mint-http.ts';
import { isPoint } from './token.ts';

type Keys = Readonly<Record<string, string>>;

export interface Keysets {
  /** Loads them once; later calls return at once unless something proved them stale. Throws NodeError. */
  load: () => Promise<void>;
  /** Looks again, at most once per `keysetRefreshMs`. */
  refresh: () => Promise<void>;
  /** The mint refused outputs of `keyset`: look again before the next plan. */
  suspect: (keyset: string) => void;
  /**
   * Keyset for new outputs: cheapest active one of the unit whose keys are verified. Remembered ones count; those
   * that expire soon do not, unless they are asked for.
   */
  active: (unit: Unit, options?: { evenExpiring: boolean }) => KeysetInfo | undefined;
  get: (id: string) => KeysetInfo | undefined;
  /** True if it is forgotten by the mint so soon that nothing new is taken on it. */
  expiring: (keyset: KeysetInfo) => boolean;
  /** Full ids that begin with `id`, in any unit. */
  matching: (id: string) => string[];
  /** Public keys also of inactive keysets; from memory without asking the mint. Throws NodeError. */
  keysOf: (id: string) => Promise<Keys>;
  /** The same for proofs of ours: these keys are remembered, so that the proofs can be spent while the mint is away. */
  keysOfOurs: (id: string) => Promise<Keys>;
  /** True once the mint itself told its keysets. */
  loaded: () => boolean;
}

/** New money must stay good for at least this long. */
const EXPIRY_MARGIN_SECONDS = 3_600;

export function createKeysets(options: {
  client: MintClient;
  clock: Clock;
  log: Logger;
  /** Host of the mint, for logs. */
  mint: string;
  /** The listed units; keysets of others are known by name only. */
  units: readonly Unit[];
  memory: KeysetMemory;
  /** False if the id belongs to another listed mint: such a keyset is not used. */
  claim: (keysetId: string) => boolean;
  /** The mint contradicts itself or takes what is another's. */
  accuse: (why: string) => void;
}): Keysets {
  const { client, clock, log, mint, units, memory, claim, accuse } = options;
  const recalled = units.flatMap((unit) => memory.recall(unit)).filter((info) => claim(info.id));
  let known = new Map(recalled.map((info) => [info.id, info]));
  let loadedAt: number | undefined;
  let stale = false;
  let loading: Promise<void> | undefined;

  async function fetchAll(): Promise<void> {
    // One after the other: a mint that was down lets only one request through to find out whether it is back.
    const list = readKeysetList(await client.get('/v1/keysets'));
    const keys = readKeys(await client.get('/v1/keys'));
    const next = new Map<string, KeysetInfo>();
    for (const entry of list) {
      const keysetId = entry.id;
      if (!claim(keysetId)) {
        log.error('wallet.keyset.collision', { mint, keyset: keysetId });
        accuse('it serves a keyset of another listed mint');
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
      const changed = before !== undefined && (before.feePpk !== info.feePpk || before.unit !== info.unit);
      if (changed) {
        log.error('wallet.keyset.changed', { mint, keyset: keysetId, was: before.feePpk, is: info.feePpk });
        accuse('it changed the fee or the unit of a keyset');
      }
      const offered = keys.get(keysetId);
      const isListed = units.some((unit) => unit === info.unit);
      const same = !changed && before?.finalExpiry === info.finalExpiry && sameKeys(offered, before?.keys);
      const reuse = offered === undefined || same;
      const verified = reuse ? before?.keys : isListed ? await verify(info, offered) : undefined;
      next.set(keysetId, verified === undefined ? info : { ...info, keys: verified });
    }
    known = next;
    loadedAt = clock.monotonic();
    stale = false;
    memory.keep(known.values());
    log.info('wallet.keysets.loaded', { mint, keysets: known.size });
  }

  /** Undefined, with an error line, if the keys are not those that the id stands for. */
  async function verify(info: KeysetInfo, keys: Keys): Promise<Keys | undefined> {
    await nextTurn(); // 64 keys take 3 ms: whoever else is waiting comes first.
    const verdict = checkKeys(info, keys);
    if (verdict === 'fit' && Object.values(keys).every(isPoint)) return keys;
    log.error('wallet.keyset.unverified', { mint, keyset: info.id });
    if (verdict === 'foreign') accuse('the keys of a keyset are not those of its id');
    return undefined;
  }

  async function load(): Promise<void> {
    if (loadedAt === undefined || stale) await loadOnce();
  }

  function loadOnce(): Promise<void> {
    loading ??= fetchAll().finally(() => (loading = undefined));
    return loading;
  }

  async function keysOf(keysetId: string): Promise<Keys> {
    const remembered = known.get(keysetId)?.keys;
    if (remembered !== undefined) return remembered;
    await load();
    const info = known.get(keysetId);
    if (info?.keys !== undefined) return info.keys;
    if (info === undefined) throw unknownKeyset();
    const answer = await client.get(`/v1/keys/${encodeURIComponent(keysetId)}`);
    if (answer.kind === 'refused') throw unknownKeyset();
    const offered = readKeys(answer).get(keysetId);
    const verified = offered === undefined ? undefined : await verify(info, offered);
    if (verified === undefined) throw unknownKeyset();
    known.set(keysetId, { ...info, keys: verified });
    return verified;
  }

  const expiring = (keyset: KeysetInfo): boolean =>
    (keyset.finalExpiry ?? Infinity) <= unixSeconds(clock) + EXPIRY_MARGIN_SECONDS;

  return {
    loaded: () => loadedAt !== undefined,
    load,
    refresh: async () => {
      const due = loadedAt === undefined || clock.monotonic() - loadedAt >= LIMITS.mint.keysetRefreshMs;
      if (due || stale) await loadOnce();
    },
    suspect: (keyset) => {
      // A refusal of an older plan says nothing about keysets that were loaded after it was made.
      if (known.get(keyset)?.active === true) stale = true;
    },
    active: (unit, { evenExpiring } = { evenExpiring: false }) => {
      const usable = [...known.values()].filter(
        (keyset) =>
          keyset.active &&
          keyset.unit === unit &&
          keyset.keys !== undefined &&
          takesOutputs(keyset.id) &&
          (evenExpiring || !expiring(keyset)),
      );
      return usable.sort((a, b) => a.feePpk - b.feePpk || (a.id < b.id ? 1 : -1))[0];
    },
    get: (keysetId) => known.get(keysetId),
    expiring,
    matching: (prefix) => [...known.keys()].filter((keysetId) => keysetId.startsWith(prefix)),
    keysOf,
    keysOfOurs: async (keysetId) => {
      const keys = await keysOf(keysetId);
      if (memory.need(keysetId)) memory.keep(known.values());
      return keys;
    },
  };
}

function sameKeys(some: Keys | undefined, others: Keys | undefined): boolean {
  if (some === undefined || others === undefined) return false;
  const amounts = Object.keys(some);
  return (
    amounts.length === Object.keys(others).length &&
    amounts.every((amount) => some[amount] === others[amount])
  );
}

export const unknownKeyset = (): NodeError =>
  new NodeError('unknown_keyset', 'The mint does not know the keyset of a proof in the token.');
