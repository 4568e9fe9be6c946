/** The listed mints: one connection, one set of keysets and one reputation per URL. */
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Unit } from '../base/money.ts';
import type { Clock } from '../base/time.ts';
import { createHints, type Hints } from './hints.ts';
import { createKeysetMemory, type WalletMemory } from './keyset-memory.ts';
import { createKeysets, type Keysets } from './keysets.ts';
import { createMintClient, type MintClient } from './mint-http.ts';
import { normaliseMintUrl } from './mint-url.ts';

/** As an operator lists it. A mint with two units is listed twice. */
export interface ListedMint {
  url: string;
  unit: Unit;
  /** Allows http and addresses that are not public: for mints on the own machine. */
  allowPrivate: boolean;
}

export interface Mint {
  url: string;
  units: Unit[];
  client: MintClient;
  keysets: Keysets;
  hints: Hints;
  /** It signed something else than asked, or lies about keysets: take nothing new from it until the process ends. */
  quarantine: (why: string) => void;
  quarantined: () => boolean;
}

export interface Mints {
  all: () => Mint[];
  /** Throws NodeError('untrusted_mint') for a mint that is not listed. */
  get: (url: string) => Mint;
  unitsOf: (url: string) => readonly Unit[] | undefined;
  start: () => Promise<void>;
  close: () => void;
}

export function createMints(options: {
  listed: readonly ListedMint[];
  memory: WalletMemory | undefined;
  clock: Clock;
  log: Logger;
}): Mints {
  const { listed, memory, clock, log } = options;
  const mints = new Map<string, Mint>();
  const ownerOfKeyset = new Map<string, string>();

  const unitsOf = new Map<string, Unit[]>();
  for (const { url, unit } of listed) {
    const units = unitsOf.get(normaliseMintUrl(url)) ?? [];
    if (!units.includes(unit)) unitsOf.set(normaliseMintUrl(url), [...units, unit]);
  }
  for (const { url: text, allowPrivate } of listed) {
    const url = normaliseMintUrl(text);
    if (!mints.has(url)) mints.set(url, open(url, unitsOf.get(url) ?? [], allowPrivate));
  }

  function open(url: string, units: Unit[], allowPrivate: boolean): Mint {
    const { protocol, host } = new URL(url);
    if (protocol !== 'https:' && !allowPrivate) {
      throw new NodeError(
        'untrusted_mint',
        `Mint ${host} must use https, or allow_private must be set for it.`,
      );
    }
    // A mint on the own machine is the operator's to load.
    const budget = allowPrivate ? {} : { budget: LIMITS.mint.budget, quoteBudget: LIMITS.mint.quoteBudget };
    const client = createMintClient({ url, allowPrivate, ...budget, clock, log });
    const claim = (keyset: string): boolean => {
      const owner = ownerOfKeyset.get(keyset) ?? url;
      ownerOfKeyset.set(keyset, owner);
      return owner === url;
    };
    let quarantined = false;
    const quarantine = (why: string): void => {
      if (!quarantined) log.error('wallet.mint.quarantined', { mint: host, why });
      quarantined = true;
    };
    const remembered = createKeysetMemory({ memory, url, units, log });
    return {
      url,
      units,
      client,
      keysets: createKeysets({
        client,
        clock,
        log,
        mint: host,
        units,
        memory: remembered,
        claim,
        accuse: quarantine,
      }),
      hints: createHints({ url, units, allowPrivate, client, clock, log }),
      quarantined: () => quarantined,
      quarantine,
    };
  }

  return {
    all: () => [...mints.values()],
    unitsOf: (url) => mints.get(url)?.units,
    get: (url) => {
      const mint = mints.get(url);
      if (mint === undefined)
        throw new NodeError('untrusted_mint', 'This mint is not listed by the operator.');
      return mint;
    },
    start: async () => {
      await Promise.all(
        [...mints.values()].map((mint) =>
          mint.keysets.load().catch((error: unknown) => {
            log.warn('wallet.mint.unreachable', { mint: new URL(mint.url).host, error: errorKind(error) });
          }),
        ),
      );
    },
    close: () => {
      for (const { hints, client } of mints.values()) {
        hints.close();
        client.close();
      }
    },
  };
}
