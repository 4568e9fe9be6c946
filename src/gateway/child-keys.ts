/** Child key use cases: make, list, reset and revoke keys that spend their parent's balance within limits. */
import { NodeError } from '../base/error.ts';
import { type AccountId, type Random, accountOfKey, hex, hmacHex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Msat, msat, sub } from '../base/money.ts';
import { Secret } from '../base/secret.ts';
import type { ChildTerms } from '../ledger/children.ts';
import type { Idempotency, Remembered } from '../ledger/idempotency.ts';
import type { Account, Ledger } from '../ledger/ledger.ts';
import { keyExpired, overLimit } from './holds.ts';
import type { Once, RequestKey } from './idempotency.ts';
import type { Payers } from './payer.ts';
import type { Credential } from './request.ts';

export type { ChildTerms } from '../ledger/children.ts';

export interface MadeChildren {
  keys: { id: string; key: Secret }[];
  cost: Msat;
  parentBalance: Msat;
  replayed: boolean;
}

export interface ChildKeys {
  /** Throws child_key_not_allowed, invalid_request, insufficient_balance, balance_limit_exceeded, key_expired. */
  create: (
    credential: Credential,
    wanted: { count: number; terms: ChildTerms },
    given?: RequestKey,
  ) => Promise<MadeChildren>;
  /** `child` is an id or the key itself. Throws not_found for what is no child of this credential. */
  reset: (credential: Credential, child: string) => Promise<void>;
  revoke: (credential: Credential, child: string) => Promise<void>;
}

/** Names a child key in addresses and lists; no credential. */
export const childId = (account: AccountId): string => `ck_${account.slice(0, 32)}`;

export function createChildKeys(parts: {
  ledger: Ledger;
  payers: Payers;
  once: Once;
  keySecret: Secret<Uint8Array>;
  random: Random;
  /** Msat for each key. */
  costEach: Msat;
}): ChildKeys {
  const { ledger, payers, once, keySecret, random, costEach } = parts;

  /** Keys follow from a seed on disk and a secret that is not in the ledger: a repeated request shows them again. */
  const keysOf = (seed: string, count: number): Secret[] =>
    Array.from(
      { length: count },
      (_, i) => new Secret(`sk-${hmacHex(keySecret.reveal(), `child:${seed}:${i}`)}`),
    );
  const named = (keys: Secret[]) => keys.map((key) => ({ id: childId(accountOfKey(key.reveal())), key }));

  function make(
    parent: AccountId,
    { count, terms }: { count: number; terms: ChildTerms },
    idempotency: Idempotency | undefined,
  ): ReturnType<Ledger['createChildren']> & { keys: Secret[]; cost: Msat } {
    const seed = hex(random(16));
    const keys = keysOf(seed, count);
    const cost = msat(costEach * count);
    const accounts = keys.map((key) => accountOfKey(key.reveal()));
    const memory = idempotency ? { idempotency } : {};
    return { keys, cost, ...ledger.createChildren({ parent, accounts, seed, cost, terms, ...memory }) };
  }

  async function created(made: ReturnType<typeof make>): Promise<MadeChildren> {
    const { keys, cost } = made;
    switch (made.outcome) {
      case 'created':
        await made.durable;
        return { keys: named(keys), cost, parentBalance: made.available, replayed: false };
      case 'insufficient':
        throw insufficient(cost, made.available);
      case 'limit':
        throw overLimit({ balanceLimit: made.limit }, sub(made.limit, made.spent), cost);
      case 'expired':
        throw keyExpired();
      case 'too-many':
        throw new NodeError(
          'invalid_request',
          `A key has at most ${made.most} child keys; revoke some first.`,
          {
            param: 'count',
          },
        );
    }
  }

  async function parentOf(credential: Credential): Promise<AccountId> {
    const id = await payers.account(credential);
    const account = ledger.account(id);
    if (account === undefined) throw insufficient(costEach, msat(0));
    requireParent(account);
    return id;
  }

  async function childOf(parent: AccountId, named: string): Promise<AccountId> {
    const wanted = named.startsWith('sk-') ? childId(accountOfKey(named)) : named;
    const child = ledger.children(parent).find(({ id }) => childId(id) === wanted);
    if (!child) throw noSuchChild();
    return child.id;
  }

  return {
    create: async (credential, wanted, given) => {
      const parent = await parentOf(credential);
      const act = (idempotency?: Idempotency) => created(make(parent, wanted, idempotency));
      const replay = ({ children }: Remembered): Promise<MadeChildren> | undefined => {
        if (children === undefined) return undefined;
        const keys = named(keysOf(children.seed, children.count));
        const parentBalance = ledger.account(parent)?.available ?? msat(0);
        return Promise.resolve({ keys, cost: children.cost, parentBalance, replayed: true });
      };
      return once.run(parent, given, act, replay);
    },
    reset: async (credential, named) => {
      const parent = await parentOf(credential);
      await ledger.resetChild(parent, await childOf(parent, named))?.durable;
    },
    revoke: async (credential, named) => {
      const parent = await parentOf(credential);
      await ledger.revokeChild(parent, await childOf(parent, named))?.durable;
    },
  };
}

const insufficient = (cost: Msat, available: Msat): NodeError =>
  new NodeError(
    'insufficient_balance',
    `Insufficient credits. Insufficient balance: ${cost} mSats required. ${available} available.`,
    { metadata: { required_msats: cost, available_msats: available } },
  );

/** What only whoever holds the money itself may do. */
export function requireParent(account: Account | undefined): void {
  if (account?.parent === undefined) return;
  throw new NodeError(
    'child_key_not_allowed',
    'A child key can only pay for requests and be topped up. Use the key that it was made with.',
  );
}

export function requireCount(count: number): number {
  if (Number.isSafeInteger(count) && count >= 1 && count <= LIMITS.children.perRequestMax) return count;
  throw new NodeError('invalid_request', `count must be 1 to ${LIMITS.children.perRequestMax}.`, {
    param: 'count',
  });
}

const noSuchChild = (): NodeError =>
  new NodeError('not_found', 'There is no such child key of this key.', { param: 'child_key' });
