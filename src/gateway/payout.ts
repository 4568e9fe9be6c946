/** Payout: money that leaves as a token (change, refund), the same token for the same operation for ever. */
import { NodeError, invariant } from '../base/error.ts';
import { type AccountId, type OperationId, newOperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { type Unit } from '../base/money.ts';
import { Secret } from '../base/secret.ts';
import type { Ledger, SendOperation } from '../ledger/ledger.ts';
import type { Wallet } from '../wallet/wallet.ts';
import { storedProofs } from './deposit.ts';
import type { Driver, StepResult } from './drive.ts';

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
   * Throws NodeError mint_unreachable when exact proofs were missing and the mint does not answer: the amount has
   * left the account and the same call returns the token later.
   */
  send: (request: {
    account: AccountId;
    purpose: 'change' | 'refund';
    amount?: number;
    idempotencyKey?: string;
  }) => Promise<PaidOut | undefined>;
  /** The token of an earlier payout. Throws like `send` while it is not made yet. */
  again: (id: OperationId) => Promise<PaidOut>;
  resume: (operation: SendOperation) => void;
}

export function createPayouts(parts: {
  ledger: Ledger;
  wallet: Wallet;
  driver: Driver;
  log: Logger;
}): Payouts {
  const { ledger, wallet, driver, log } = parts;

  const current = (id: OperationId): SendOperation => {
    const operation = ledger.operation(id);
    invariant(operation?.kind === 'send', 'a send operation keeps its kind');
    return operation;
  };

  async function step(id: OperationId, firstAttempt: boolean): Promise<StepResult> {
    const operation = current(id);
    if (operation.state !== 'executing') return { done: true };
    invariant(operation.swap !== undefined, 'an executing send has a swap');
    const { inputs, plan } = operation.swap;
    const result = await wallet.swap({
      mint: operation.mint,
      unit: operation.unit,
      inputs,
      plan,
      firstAttempt,
    });
    switch (result.outcome) {
      case 'signed':
        await ledger.completeSend(id, result.blindSignatures).durable;
        wallet.prepare(operation.mint, operation.unit, storedProofs(plan, result.blindSignatures));
        return { done: true };
      case 'refused':
      case 'replan':
        // Nothing happened at the mint: the money is back on the account and the next refund plans anew.
        await ledger.failOperation(id, `refused_${result.code}`).durable;
        return { done: true };
      case 'spent':
      case 'contradiction':
        log.error('gateway.payout.blocked', { operation: id, outcome: result.outcome });
        await ledger.blockOperation(
          id,
          result.outcome === 'spent' ? 'own_proofs_spent' : 'mint_contradiction',
        ).durable;
        return { done: true };
      case 'unresolved':
        return {
          done: false,
          ...(result.retryAfterMs === undefined ? {} : { retryAfterMs: result.retryAfterMs }),
        };
    }
  }

  async function paidOut(id: OperationId, replayed: boolean): Promise<PaidOut> {
    await driver.wait(id, LIMITS.mint.clientWaitMs);
    const operation = current(id);
    if (operation.state === 'done') {
      invariant(operation.token !== undefined, 'a finished send has its token');
      const token = await wallet.encodeToken(operation.mint, operation.unit, operation.token);
      const { amount, unit, mint } = operation;
      return { operation: id, token: new Secret(token), amount, unit, mint, replayed };
    }
    if (operation.state === 'failed') {
      throw unavailable('Mint service unavailable: nothing left your balance. Try again.');
    }
    throw unavailable(
      'Mint service unavailable: your refund is on record and is being made. Repeat the same request to get it.',
      { operation_id: id },
    );
  }

  return {
    send: async ({ account, purpose, amount, idempotencyKey }) => {
      const payer = ledger.account(account);
      invariant(payer !== undefined, 'a payout has an account');
      const { keyset, feePpk } = await wallet.activeKeyset(payer.mint, payer.unit);
      const opened = ledger.openSend({
        id: newOperationId(),
        account,
        purpose,
        mint: payer.mint,
        unit: payer.unit,
        amount: amount ?? 'all',
        feePpk,
        keyset,
        split: wallet.split,
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      });
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
          driver.run(opened.operation.id, async (attempt) => {
            await opened.durable;
            return step(opened.operation.id, attempt === 0);
          });
          return paidOut(opened.operation.id, false);
        case 'issued':
        case 'replayed':
          await opened.durable;
          return paidOut(opened.operation.id, opened.outcome === 'replayed');
      }
    },
    again: (id) => paidOut(id, true),
    resume: (operation) => driver.run(operation.id, () => step(operation.id, false)),
  };
}

/** Old clients compare `detail` literally. */
const unavailable = (message: string, metadata?: Record<string, unknown>): NodeError =>
  new NodeError('mint_unreachable', message, {
    legacyDetail: 'Mint service unavailable',
    retryAfterMs: 2_000,
    ...(metadata ? { metadata } : {}),
  });
