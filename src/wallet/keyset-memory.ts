/**
 * Keysets that outlive the process: with the keys at hand, tokens can be made of our proofs while the mint is away.
 * Remembered are the active keysets and those of our own proofs, one value per mint and unit, bounded in bytes.
 */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Unit } from '../base/money.ts';
import { checkKeys, type KeysetInfo } from './keyset-check.ts';

/** Small durable values; keys begin with `wallet/`. */
export interface WalletMemory {
  get: (key: string) => string | undefined;
  /** Resolves when the value is durable. */
  put: (key: string, value: string) => Promise<void>;
}

export interface KeysetMemory {
  /** What was remembered for this unit. Entries whose keys do not match their id are left out. */
  recall: (unit: Unit) => KeysetInfo[];
  /** From now on this keyset is worth remembering, also when it is no longer active. False: it was before. */
  need: (keysetId: string) => boolean;
  /** Writes what is worth remembering, where it differs from what was written last. */
  keep: (known: Iterable<KeysetInfo>) => void;
}

const remembered = z.strictObject({
  v: z.literal(1),
  keysets: z
    .array(
      z.strictObject({
        id: z.string().min(1).max(128),
        unit: z.string().max(64),
        active: z.boolean(),
        feePpk: z.int().nonnegative(),
        finalExpiry: z.int().positive().exactOptional(),
        keys: z.record(z.string().max(20), z.string().max(66)),
      }),
    )
    .max(LIMITS.mint.keysetsMax),
});

export function createKeysetMemory(options: {
  memory: WalletMemory | undefined;
  /** Normalised. */
  url: string;
  units: readonly Unit[];
  log: Logger;
}): KeysetMemory {
  const { memory, url, units, log } = options;
  const needed = new Set<string>();
  const written = new Map<Unit, string | undefined>();
  const mint = new URL(url).host;
  const keyOf = (unit: Unit): string => `wallet/keysets/${url}|${unit}`;

  /** Nobody waits for it, and no payment fails because of it. */
  async function write(store: WalletMemory, unit: Unit, text: string): Promise<void> {
    written.set(unit, text);
    try {
      await store.put(keyOf(unit), text);
    } catch (error) {
      written.delete(unit); // Tried again with the next change or load.
      log.warn('wallet.keysets.not_remembered', { mint, unit, error: errorKind(error) });
    }
  }

  return {
    recall: (unit) => {
      const text = memory?.get(keyOf(unit));
      written.set(unit, text);
      if (text === undefined) return [];
      const read = remembered.safeParse(parse(text));
      if (!read.success) {
        log.warn('wallet.keysets.unreadable', { mint, unit });
        return [];
      }
      // That the keys are points was checked before they were written, and the id commits to each of them.
      const good = read.data.keysets.filter(
        (info) => info.unit === unit && checkKeys(info, info.keys) === 'fit',
      );
      const ignored = read.data.keysets.length - good.length;
      if (ignored > 0) log.warn('wallet.keysets.ignored', { mint, unit, keysets: ignored });
      for (const info of [...good].reverse()) needed.add(info.id); // Written youngest first, kept oldest first.
      return good;
    },
    need: (keysetId) => !needed.has(keysetId) && Boolean(needed.add(keysetId)),
    keep: (known) => {
      if (memory === undefined) return;
      const all = [...known];
      for (const { id, active, keys } of all) if (active && keys !== undefined) needed.add(id);
      for (const unit of units) {
        const text = textOf(
          all.filter((info) => info.unit === unit && needed.has(info.id)),
          needed,
        );
        if (text !== undefined && text !== written.get(unit)) void write(memory, unit, text);
      }
    },
  };
}

/** Active keysets first, then the youngest acquaintances, as many as fit; undefined if there is none with keys. */
function textOf(keysets: KeysetInfo[], needed: ReadonlySet<string>): string | undefined {
  const age = new Map([...needed].reverse().map((id, i) => [id, i]));
  const sorted = keysets
    .filter((info) => info.keys !== undefined)
    .sort((a, b) => Number(b.active) - Number(a.active) || (age.get(a.id) ?? 0) - (age.get(b.id) ?? 0));
  const parts: string[] = [];
  let bytes = 0;
  for (const { id, unit, active, feePpk, finalExpiry, keys } of sorted) {
    const part = JSON.stringify({ id, unit, active, feePpk, finalExpiry, keys });
    bytes += Buffer.byteLength(part) + 1;
    if (bytes > LIMITS.mint.rememberedBytesMax) break;
    parts.push(part);
  }
  return parts.length === 0 ? undefined : `{"v":1,"keysets":[${parts.join(',')}]}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The schema refuses it, and the keysets are fetched as on a first start.
  }
}
