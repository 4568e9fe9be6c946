/** Payout: money that leaves as a token (change, refund), the same token for the same operation for ever. */
import { NodeError, invariant } from '../base/error.ts';
import { type AccountId, type OperationId, newOperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import { type Unit, ZERO, msatPerUnit, msatToUnitFloor, unitToMsat } from '../base/money.ts';
import { Secret } from '../base/secret.ts';
import type { Idempotency } from '../ledger/idempotency.ts';
import type { Durable, Ledger, SendOperation } from '../ledger/ledger.ts';
import type { SendOutcome } from '../ledger/sends.ts';
import type { Wallet } from '../wallet/wallet.ts';
import type { Driver, StepResult } from './drive.ts';
import { createPayoutStep, sendOperation } from './payout-step.ts';
import { type Shelf, richestShelves } from './shelves.ts';

/** A token on its way out. `amount` is its face value in `unit`. */
export interface PaidOut {
  operation: OperationId;
  token: Secret;
  amount: number;
  unit: Unit;
  mint: string;
  replayed: boolean;
}

export interface Payouts {
  /**
   * Makes a token of everything free on the account (or of `amount` units). Undefined when not one unit is left.
   * Where a key was paid from several mints, its own may hold too little: then another one pays, or as much of
   * everything as one mint has. Throws NodeError mint_unreachable when exact proofs were missing and the mint does not answer: the amount has
   * left the account and the same call returns the token later.
   */
  send: (request: {
    account: AccountId;
    /** `withdraw` takes from what the operator earned: then `account` is the operator's, and `amount` is in sat. */
    purpose: 'change' | 'refund' | 'withdraw';
    amount?: number;
    /** Of all: the latest payout that the caller knows of; a part made meanwhile is given in its place. */
    after?: OperationId | undefined;
    idempotency?: Idempotency | undefined;
  }) => Promise<PaidOut | undefined>;
  /** The token of an earlier payout. Throws like `send` while it is not made yet. */
  again: (id: OperationId) => Promise<PaidOut>;
  /** A payout of this account whose client was told to repeat exactly this request, and has not done so yet. */
  promised: (account: AccountId, amount: number | undefined) => OperationId | undefined;
  /** Asks the mint for the swap of an operation that was just opened. */
  begin: (opened: { operation: SendOperation } & Durable) => void;
  resume: (operation: SendOperation) => void;
}

export function createPayouts(parts: {
  ledger: Ledger;
  wallet: Wallet;
  driver: Driver;
  log: Logger;
}): Payouts {
  const { ledger, wallet, driver, log } = parts;

  const step = createPayoutStep({ ledger, wallet, driver, log });
  const current = (id: OperationId): SendOperation => sendOperation(ledger, id);

  /** Memory only: a client that repeats its request after a restart meets what `resume` put here. */
  const promises = new Map<OperationId, { account: AccountId; asked: number | 'all' | 'unknown' }>();

  function promise(operation: SendOperation, asked: number | 'all' | 'unknown'): void {
    // With an Idempotency-Key the client finds its payout by itself.
    if (
      operation.purpose === 'rotate' ||
      operation.idempotencyKey !== undefined ||
      promises.has(operation.id)
    )
      return;
    promises.set(operation.id, { account: operation.account, asked });
    const oldest = promises.keys().next();
    if (promises.size > LIMITS.outcome.promisedMax && !oldest.done) promises.delete(oldest.value);
  }

  /** Goes on with what is unfinished and has nobody behind it, as a command of the operator finds it. */
  function takeUp(id: OperationId): void {
    const found = async (): Promise<StepResult> => {
      await ledger.flushed();
      return step(id, false);
    };
    driver.run(id, found, 'found');
  }

  async function paidOut(
    id: OperationId,
    replayed: boolean,
    asked: number | 'all' | 'unknown' = 'unknown',
  ): Promise<PaidOut> {
    if (current(id).state === 'executing') takeUp(id);
    await driver.wait(id, LIMITS.mint.clientWaitMs);
    const operation = current(id);
    if (operation.state === 'done') {
      invariant(operation.token !== undefined, 'a finished send has its token');
      // Whoever comes second must not get the token before the debit of the first is on disk.
      await ledger.completeSend(id, []).durable;
      const token = await wallet.encodeToken(operation.mint, operation.unit, operation.token);
      promises.delete(id);
      const { amount, unit, mint } = operation;
      return { operation: id, token: new Secret(token), amount, unit, mint, replayed };
    }
    if (operation.state === 'failed') {
      promises.delete(id);
      throw unavailable('Mint service unavailable: nothing left your balance. Try again.');
    }
    if (operation.state === 'blocked')
      throw new NodeError(
        'mint_quarantined',
        'The mint answered this refund inconsistently. It is on record and the operator was alarmed.',
        { metadata: { operation_id: id } },
      );
    promise(operation, asked);
    throw unavailable(
      'Mint service unavailable: your refund is on record and is being made. Repeat the same request to get it.',
      { operation_id: id },
    );
  }

  type Request = Parameters<Payouts['send']>[0];
  /** Where the money came from; the operator's may come from wherever most of the ecash is. */
  function homeOf({ account, purpose }: Request): Shelf {
    const payer = purpose === 'withdraw' ? richestShelves(ledger, wallet)[0] : ledger.account(account);
    if (payer === undefined && purpose === 'withdraw')
      throw unavailable('No mint of this node can make a token now.');
    invariant(payer !== undefined, 'a payout has an account');
    return { mint: payer.mint, unit: payer.unit };
  }

  async function open(
    request: Request & { partial?: true },
    { mint, unit }: Shelf,
    amount: number | 'all',
  ): Promise<SendOutcome> {
    const { account, purpose, partial, idempotency } = request;
    const { keyset, feePpk } = await wallet.activeKeyset(mint, unit);
    const opened = ledger.openSend({
      id: newOperationId(),
      account,
      purpose,
      mint,
      unit,
      amount,
      feePpk,
      keyset,
      split: wallet.split,
      ...(partial && { partial }),
      ...('after' in request && { after: request.after }),
      ...(idempotency === undefined ? {} : { idempotency }),
    });
    // From this very turn on, so that nobody finds it with nobody behind it.
    if (opened.outcome === 'swap') begin(opened);
    return opened;
  }

  /** The account's own mint is short, because its money came from several: any other listed mint may pay. */
  async function openElsewhere(request: Request, own: Shelf, have: number): Promise<SendOutcome | undefined> {
    const { account, amount } = request;
    let most = { shelf: own, units: have };
    for (const shelf of wallet.mints()) {
      if (shelf.url === own.mint && shelf.unit === own.unit) continue;
      if (amount !== undefined && shelf.unit !== own.unit) continue;
      const other = { mint: shelf.url, unit: shelf.unit };
      const opened = await open(request, other, amount ?? 'all').catch((error: unknown) => {
        log.warn('gateway.payout.mint_away', { error: errorKind(error) });
      });
      if (!opened) continue;
      if (opened.outcome !== 'no-proofs') return opened;
      const value = unitToMsat(opened.have, other.unit);
      if (value > unitToMsat(most.units, most.shelf.unit)) most = { shelf: other, units: opened.have };
    }
    if (amount !== undefined || most.units === 0) return undefined;
    log.warn('gateway.payout.partial', { account: account.slice(0, 8), have: most.units });
    return open({ ...request, partial: true }, most.shelf, most.units);
  }

  const isListed = ({ mint, unit }: Shelf): boolean =>
    wallet.mints().some((listed) => listed.url === mint && listed.unit === unit);

  async function outcomeOf(request: Request, own: Shelf): Promise<SendOutcome> {
    // A mint that was taken off the list has nothing to give as long as it is not on it.
    const opened = isListed(own) ? await open(request, own, request.amount ?? 'all') : EMPTY;
    if (opened.outcome !== 'no-proofs') return opened;
    const { account, purpose } = request;
    const free = purpose === 'withdraw' ? ledger.earned() : (ledger.account(account)?.available ?? ZERO);
    const wanted = request.amount ?? msatToUnitFloor(free, own.unit);
    if (opened.inFlight > 0 && opened.have + opened.inFlight >= wanted) return opened;
    return (await openElsewhere(request, own, opened.have)) ?? opened;
  }

  function begin({ operation: { id }, durable }: { operation: SendOperation } & Durable): void {
    driver.run(id, async (attempt) => {
      await durable;
      return step(id, attempt === 0);
    });
  }

  return {
    begin,
    send: async (given) => {
      const home = homeOf(given);
      const request = given.purpose === 'withdraw' ? inUnits(given, home.unit) : given;
      const { account, amount } = request;
      const opened = await outcomeOf(request, home);
      switch (opened.outcome) {
        case 'insufficient':
          return undefined;
        case 'no-proofs':
          if (opened.inFlight > 0)
            throw unavailable('Mint service unavailable: ecash of the node is on its way. Try again.');
          log.error('gateway.payout.no_proofs', { account: account.slice(0, 8), have: opened.have });
          throw new NodeError(
            'internal_error',
            'The node holds too little ecash of that mint. The operator was alarmed.',
          );
        case 'swap':
          return paidOut(opened.operation.id, false, amount ?? 'all');
        case 'issued':
        case 'replayed':
          await opened.durable;
          return paidOut(opened.operation.id, opened.outcome === 'replayed', amount ?? 'all');
      }
    },
    again: (id) => paidOut(id, true),
    promised: (account, amount) => {
      for (const [id, promised] of promises) {
        // What an operator has to decide about is no answer to whoever asks for the rest.
        if (current(id).state === 'blocked') {
          promises.delete(id);
          continue;
        }
        const { asked } = promised;
        const same =
          asked === 'unknown'
            ? amount === undefined || current(id).amount === amount
            : asked === (amount ?? 'all');
        if (promised.account === account && same) return id;
      }
      return undefined;
    },
    resume: (operation) => {
      promise(operation, 'unknown');
      takeUp(operation.id);
    },
  };
}

const EMPTY: SendOutcome = { outcome: 'no-proofs', have: 0, inFlight: 0 };

/** Sats of the operator, in the unit of the mint that they come from. */
const inUnits = <T extends { amount?: number }>(request: T, unit: Unit): T =>
  request.amount === undefined
    ? request
    : { ...request, amount: (request.amount * 1000) / msatPerUnit(unit) };

/** Old clients compare `detail` literally. */
const unavailable = (message: string, metadata?: Record<string, unknown>): NodeError =>
  new NodeError('mint_unreachable', message, {
    legacyDetail: 'Mint service unavailable',
    retryAfterMs: 2_000,
    ...(metadata ? { metadata } : {}),
  });
