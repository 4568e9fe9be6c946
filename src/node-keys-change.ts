/** Keys made and ended by the operator of a stopped node, with the code that serves clients. */
import { EXIT, ExitError, NodeError } from './base/error.ts';
import { type AccountId, accountOfKey, sha256Hex, systemRandom } from './base/id.ts';
import { type Msat, msat, msatPerUnit } from './base/money.ts';
import type { Secret } from './base/secret.ts';
import { unixSeconds } from './base/time.ts';
import type { Config } from './config.ts';
import { createAccounts } from './gateway/account.ts';
import { type ChildTerms, type MadeChildren, childId, createChildKeys } from './gateway/child-keys.ts';
import { createOnce } from './gateway/idempotency.ts';
import { createPayers } from './gateway/payer.ts';
import { createJunkLimit } from './gateway/rate.ts';
import type { AccountTerms } from './ledger/ledger.ts';
import { type WantedKey, findKey, keyId, readKeys } from './node-keys.ts';
import { type Till, type Tools, withTill } from './node-wallet.ts';

export interface MadeKey {
  dry_run: boolean;
  /** With a dry run what the mint would leave of the token. */
  balance_msat: number;
  /** The token had become this key before; its terms are those of then. */
  replayed?: boolean;
  id?: string;
  /** Follows from the token and the seed: the same command shows it again. */
  api_key?: string;
}

/** A token becomes a key, as POST /v1/balance/create does it. `told` hands it over. Throws NodeError as that does. */
export function createKey(
  config: Config,
  tools: Tools,
  order: { token: Secret; terms: AccountTerms; dryRun: boolean },
): Promise<MadeKey> {
  const { token, terms, dryRun } = order;
  return withTill(config, tools, async (till) => {
    const info = till.wallet.inspect(token.reveal());
    if (dryRun) {
      const { net } = await till.wallet.planReceive(info);
      return { dry_run: true, balance_msat: net * msatPerUnit(info.unit) };
    }
    const { ledger, wallet, deposits, payouts } = till;
    const { payers, once } = desk(till, tools);
    const accounts = createAccounts({ ledger, wallet, payers, deposits, payouts, once, log: tools.log });
    const { apiKey, balance, replayed } = await accounts.create(token, terms);
    const key = apiKey.reveal();
    return { dry_run: false, balance_msat: balance, replayed, id: keyId(accountOfKey(key)), api_key: key };
  });
}

export interface MadeChildKeys {
  dry_run: boolean;
  parent: string;
  cost_msat: number;
  parent_balance_msat: number;
  /** Made before, by the same command, and perhaps never seen. */
  replayed?: boolean;
  keys: { id: string; api_key: string }[];
}

/** How many orders of child keys were handed over; the next one is remembered under this number until it was. */
const MADE = 'keys.made';

/**
 * Child keys of a key that whoever runs this holds: nobody else may spend its money. A process that dies before
 * `told` makes the same keys again. Throws NodeError as POST …/child-key does.
 */
export function createChildren(
  config: Config,
  tools: Tools,
  order: {
    parent: Secret;
    count: number;
    terms: ChildTerms;
    dryRun: boolean;
    told: (made: MadeChildKeys) => void;
  },
): Promise<void> {
  const { parent, count, terms, dryRun, told } = order;
  return withTill(config, tools, async (till) => {
    const { ledger, secrets } = till;
    const { payers, once } = desk(till, tools);
    const costEach = msat(config.pricing.child_key_cost_msats);
    const account = payers.known({ kind: 'key', key: parent });
    const report = { dry_run: dryRun, parent: keyId(account) };
    if (dryRun) return told({ ...report, ...planned(till, account, msat(costEach * count)), keys: [] });
    const children = createChildKeys({
      ledger,
      payers,
      once,
      keySecret: secrets.keySecret,
      random: systemRandom,
      costEach,
    });
    const request = sha256Hex(JSON.stringify([account, count, terms]));
    const make = (number: number): Promise<MadeChildren> =>
      children.create({ kind: 'key', key: parent }, { count, terms }, { key: `operator|${number}`, request });
    const number = Number(ledger.getValue(MADE) ?? 0);
    const { made, under } = await make(number).then(
      (made) => ({ made, under: number }),
      async (error: unknown) => {
        // Another order was made and never seen: its keys stay in the list, where they can be revoked.
        if (!(error instanceof NodeError) || error.code !== 'idempotency_key_reused') throw error;
        return { made: await make(number + 1), under: number + 1 };
      },
    );
    told({
      ...report,
      cost_msat: made.cost,
      parent_balance_msat: made.parentBalance,
      replayed: made.replayed,
      keys: made.keys.map(({ id, key }) => ({ id, api_key: key.reveal() })),
    });
    await ledger.putValue(MADE, String(under + 1)).durable;
  });
}

function planned({ ledger }: Till, account: AccountId, cost: Msat) {
  const found = ledger.account(account);
  if (found?.parent !== undefined) throw new ExitError(EXIT.error, 'a child key cannot have child keys');
  const balance = found?.available ?? 0;
  if (balance < cost)
    throw new ExitError(
      EXIT.insufficientFunds,
      `these keys cost ${cost} msat; the parent has ${balance} msat`,
    );
  return { cost_msat: cost, parent_balance_msat: balance };
}

export interface RevokedKey {
  dry_run: boolean;
  id: string;
  kind: 'key' | 'child';
  /** It had ended before. */
  already: boolean;
  /** What stays with the key and can be refunded; of a child key all of it is its parent's. */
  balance_msat: number;
  /** Child keys that end with it. */
  child_keys: number;
}

/**
 * A child key is gone from now on. Any other key expires now: it pays for nothing more, and what is left on it is its
 * holder's to refund. No money moves here. Throws ExitError 5, 2.
 */
export async function revokeKey(
  config: Config,
  tools: Tools,
  { wanted, dryRun }: { wanted: WantedKey; dryRun: boolean },
): Promise<RevokedKey> {
  const book = await readKeys(config, tools);
  const { account, child } = findKey(book, wanted);
  const now = unixSeconds(tools.clock);
  const already = child === undefined && account.validityDate !== undefined && account.validityDate <= now;
  const children = [...book.children.values()].filter(({ parent }) => parent === account.id).length;
  if (!dryRun && !already)
    await withTill(config, tools, async ({ ledger }) => {
      if (child !== undefined) await ledger.revokeChild(account.id, child.id)?.durable;
      else await ledger.setAccountTerms(account.id, { validityDate: now }).durable;
    });
  return {
    dry_run: dryRun,
    id: child === undefined ? keyId(account.id) : childId(child.id),
    kind: child === undefined ? 'key' : 'child',
    already,
    balance_msat: account.available + account.held,
    child_keys: child === undefined ? children : 0,
  };
}

/** What the routes of clients stand on. */
function desk({ ledger, wallet, deposits, secrets }: Till, { clock }: Tools) {
  const junk = createJunkLimit({ clock });
  const { keySecret } = secrets;
  return {
    payers: createPayers({ ledger, wallet, deposits, keySecret, junk }),
    once: createOnce({ ledger }),
  };
}
