/** Pool: the proofs in our possession by mint, unit and amount, and the ways to pick some of them. */
import type { AccountId } from '../base/id.ts';
import { invariant } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { Unit } from '../base/money.ts';
import type { StoredProof } from '../base/proof.ts';

/** Row of the database: a proof and where it can be spent. */
export interface PoolProof extends StoredProof {
  mint: string;
  unit: Unit;
}

export interface Pool {
  add: (proof: PoolProof) => void;
  has: (key: string) => boolean;
  remove: (key: string) => void;
  /**
   * Sets proofs aside for the change of a one-shot payment: others take them only when nothing else is left, so that
   * the split made for exactly this purpose is still whole when the change is due. Memory only.
   */
  setAside: (owner: AccountId, proofs: readonly StoredProof[]) => void;
  /** What was set aside belongs to everyone again. */
  free: (owner: AccountId) => void;
  /** Proofs that add up to exactly `amount`; the owner's own first. */
  pickExact: (shelf: Shelf, amount: number, owner: AccountId) => StoredProof[] | undefined;
  /** Proofs that cover what `needed` asks for in view of those already picked; few rather than small ones. */
  pickCover: (shelf: Shelf, needed: (picked: readonly StoredProof[]) => number) => StoredProof[] | undefined;
  /** The smallest proofs that nobody has set aside, of the keysets that are wanted. */
  pickSmall: (shelf: Shelf, count: number, wanted: (keyset: string) => boolean) => StoredProof[];
  sum: (shelf: Shelf) => number;
  count: (shelf: Shelf) => number;
  /** What so many proofs are worth at most. */
  most: (shelf: Shelf, count: number) => number;
  all: () => IterableIterator<PoolProof>;
}
export interface Shelf {
  mint: string;
  unit: Unit;
}

type Bins = Map<number, Map<string, PoolProof>>;
interface Place {
  bins: Bins;
  proof: PoolProof;
}
interface Stock {
  free: Bins;
  aside: Map<AccountId, Bins>;
  sum: number;
  count: number;
}

export const proofKey = (proof: Pick<StoredProof, 'keyset' | 'counter'>): string =>
  `p!${proof.keyset}|${proof.counter}`;
const shelfName = (shelf: Shelf): string => `${shelf.mint}|${shelf.unit}`;

export function createPool(): Pool {
  const stocks = new Map<string, Stock>();
  const places = new Map<string, Place>();

  function stockOf(shelf: Shelf): Stock {
    const name = shelfName(shelf);
    let stock = stocks.get(name);
    if (stock === undefined)
      stocks.set(name, (stock = { free: new Map(), aside: new Map(), sum: 0, count: 0 }));
    return stock;
  }

  function move(key: string, proof: PoolProof, to: Bins): void {
    places.get(key)?.bins.get(proof.amount)?.delete(key);
    let bin = to.get(proof.amount);
    if (bin === undefined) to.set(proof.amount, (bin = new Map<string, PoolProof>()));
    bin.set(key, proof);
    places.set(key, { bins: to, proof });
  }

  function freeIn(stock: Stock, owner: AccountId): void {
    for (const bin of stock.aside.get(owner)?.values() ?? []) {
      for (const [key, proof] of bin) move(key, proof, stock.free);
    }
    stock.aside.delete(owner);
  }

  return {
    add: (proof) => {
      const key = proofKey(proof);
      invariant(!places.has(key), 'a proof enters the pool once');
      const stock = stockOf(proof);
      stock.sum += proof.amount;
      stock.count += 1;
      move(key, proof, stock.free);
    },
    has: (key) => places.has(key),
    remove: (key) => {
      const place = places.get(key);
      invariant(place !== undefined, 'a proof that leaves the pool was in it');
      const stock = stockOf(place.proof);
      stock.sum -= place.proof.amount;
      stock.count -= 1;
      place.bins.get(place.proof.amount)?.delete(key);
      places.delete(key);
    },
    setAside: (owner, proofs) => {
      for (const { keyset, counter } of proofs) {
        const key = proofKey({ keyset, counter });
        const place = places.get(key);
        if (place === undefined) continue;
        const stock = stockOf(place.proof);
        let bins = stock.aside.get(owner);
        if (bins === undefined) stock.aside.set(owner, (bins = new Map<number, Map<string, PoolProof>>()));
        move(key, place.proof, bins);
        const [oldest] = stock.aside.keys();
        if (stock.aside.size > LIMITS.ledger.ownersAsideMax && oldest !== undefined) freeIn(stock, oldest);
      }
    },
    free: (owner) => {
      for (const stock of stocks.values()) freeIn(stock, owner);
    },
    pickExact: (shelf, amount, owner) => {
      const { free, aside } = stockOf(shelf);
      const own = aside.get(owner) ?? new Map<number, Map<string, PoolProof>>();
      // The owner's own stand among those set aside; listed twice, one proof would be counted twice.
      const others = [...aside.values()].filter((bins) => bins !== own);
      return greedy([own], amount) ?? greedy([own, free], amount) ?? greedy([own, free, ...others], amount);
    },
    pickCover: (shelf, needed) => {
      const { free, aside } = stockOf(shelf);
      return cover([free, ...aside.values()], needed);
    },
    pickSmall: (shelf, count, wanted) => {
      const { free } = stockOf(shelf);
      const picked: StoredProof[] = [];
      for (const amount of amountsOf([free]).reverse()) {
        for (const proof of free.get(amount)?.values() ?? []) {
          if (picked.length === count) return picked;
          if (wanted(proof.keyset)) picked.push(bare(proof));
        }
      }
      return picked;
    },
    sum: (shelf) => stockOf(shelf).sum,
    count: (shelf) => stockOf(shelf).count,
    most: (shelf, count) => {
      const { free, aside } = stockOf(shelf);
      const sources = [free, ...aside.values()];
      let worth = 0;
      let left = count;
      for (const value of amountsOf(sources)) {
        const found = sources.reduce((sum, bins) => sum + (bins.get(value)?.size ?? 0), 0);
        worth += value * Math.min(found, left);
        left -= Math.min(found, left);
      }
      return worth;
    },
    all: function* () {
      for (const { proof } of places.values()) yield proof;
    },
  };
}

/** As it goes into a token or a swap: without the place where it is spent. */
const bare = ({ keyset, counter, amount, blindSignature }: StoredProof): StoredProof => ({
  keyset,
  counter,
  amount,
  blindSignature,
});

function amountsOf(sources: readonly Bins[]): number[] {
  const amounts = new Set<number>();
  for (const bins of sources) for (const [amount, bin] of bins) if (bin.size > 0) amounts.add(amount);
  return [...amounts].sort((a, b) => b - a);
}

/** Each amount divides the next larger one (powers of two), therefore the largest first finds a sum if there is one. */
function greedy(sources: readonly Bins[], amount: number): StoredProof[] | undefined {
  const picked: StoredProof[] = [];
  let rest = amount;
  for (const value of amountsOf(sources)) {
    if (value > rest) continue;
    for (const bins of sources) {
      for (const proof of bins.get(value)?.values() ?? []) {
        if (value > rest) break;
        picked.push(bare(proof));
        rest -= value;
        // A token that this node itself would refuse as too large is no payment.
        if (picked.length > LIMITS.token.proofsMax) return undefined;
      }
    }
  }
  return rest === 0 ? picked : undefined;
}

/** The smallest proof that suffices, else the largest there is, again and again. */
function cover(
  sources: readonly Bins[],
  needed: (picked: readonly StoredProof[]) => number,
): StoredProof[] | undefined {
  const left = amountsOf(sources).map((value) => ({ value, next: proofsOf(sources, value) }));
  const picked: StoredProof[] = [];
  for (let rest = needed(picked); rest > 0; rest = needed(picked)) {
    const enough = left.findLastIndex(({ value }) => value >= rest);
    const at = Math.max(enough, 0);
    const slot = left[at];
    if (slot === undefined || picked.length >= LIMITS.ledger.swapInputsMax) return undefined;
    const proof = slot.next.next();
    if (proof.done === true) left.splice(at, 1);
    else picked.push(bare(proof.value));
  }
  return picked;
}

function* proofsOf(sources: readonly Bins[], value: number): Generator<PoolProof, undefined> {
  for (const bins of sources) yield* bins.get(value)?.values() ?? [];
  return undefined;
}
