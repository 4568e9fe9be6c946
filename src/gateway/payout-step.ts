/**
 * One round of a token's swap with its mint, and what is booked for each way it can end.
 *
 *   attempt ──► signed, or found by restore ───────────────► done
 *      │──► refused, and no earlier attempt is in doubt ───► failed, everything is back
 *      │──► refused after an attempt without an answer ────► other outputs for the same inputs: whichever of the two
 *      │     └──► no reason given: the same once more        requests the mint carries out is found by restore
 *      └──► inputs spent elsewhere, too much of it, a lie ─► blocked, alarm
 */
import { invariant } from '../base/error.ts';
import type { OperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import type { Ledger, SendOperation } from '../ledger/ledger.ts';
import type { Wallet } from '../wallet/wallet.ts';
import { storedProofs } from './deposit.ts';
import type { Driver, StepResult } from './drive.ts';

export function sendOperation(ledger: Pick<Ledger, 'operation'>, id: OperationId): SendOperation {
  const operation = ledger.operation(id);
  invariant(operation?.kind === 'send', 'a send operation keeps its kind');
  return operation;
}

/** `firstAttempt`: certainly nothing of this operation has left before. */
export function createPayoutStep(parts: {
  ledger: Ledger;
  wallet: Wallet;
  driver: Pick<Driver, 'attempt'>;
  log: Logger;
}) {
  const { ledger, wallet, driver, log } = parts;
  /** Swaps of which the mint certainly carried nothing out so far: each attempt was answered, or never taken. */
  const undone = new Set<OperationId>();

  async function block({ id }: SendOperation, reason: string): Promise<StepResult> {
    log.error('gateway.payout.blocked', { operation: id, reason });
    await ledger.blockOperation(id, reason).durable;
    return { done: true };
  }

  async function replan(operation: SendOperation): Promise<StepResult> {
    const { id, mint, unit, swap } = operation;
    if ((swap?.oldPlans?.length ?? 0) >= LIMITS.mint.replansMax) return block(operation, 'replans');
    const fresh = await wallet.activeKeyset(mint, unit, { fresh: true }).catch((error: unknown) => {
      log.warn('gateway.payout.unplanned', { operation: id, error: errorKind(error) });
    });
    if (!fresh) return { done: false };
    const planned = ledger.replanSend(id, { ...fresh, split: wallet.split });
    if (planned === undefined) return block(operation, 'fee_exceeds_amount');
    await planned.durable;
    return { done: false };
  }

  /** An earlier attempt may still arrive, whatever this refusal says: the inputs are not anybody's again before they are spent. */
  async function inDoubt(operation: SendOperation, isVague: boolean): Promise<StepResult> {
    if (!isVague) return replan(operation);
    const isTooMuch = driver.attempt(operation.id) >= LIMITS.mint.vagueRoundsMax;
    return isTooMuch ? block(operation, 'vague_refusals') : { done: false };
  }

  return async (id: OperationId, firstAttempt: boolean): Promise<StepResult> => {
    const operation = sendOperation(ledger, id);
    if (operation.state !== 'executing') return { done: true };
    const { mint, unit, swap } = operation;
    invariant(swap !== undefined, 'an executing send has a swap');
    const { inputs, plan } = swap;
    const oldPlans = swap.oldPlans?.map((old) => old.plan);
    const isFirst = firstAttempt || undone.delete(id);
    const request = { mint, unit, inputs, plan, ...(oldPlans && { oldPlans }), firstAttempt: isFirst };
    const result = await wallet.swap(request);
    switch (result.outcome) {
      case 'signed':
        await ledger.completeSend(id, result.blindSignatures, result.plan).durable;
        wallet.prepare(mint, unit, storedProofs(result.plan, result.blindSignatures));
        return { done: true };
      case 'refused':
      case 'replan':
        if (!isFirst) return inDoubt(operation, 'vague' in result);
        // Nothing happened at the mint: the money is back on the account and the next refund plans anew.
        await ledger.failOperation(id, `refused_${result.code}`).durable;
        return { done: true };
      case 'spent':
        return block(operation, 'own_proofs_spent');
      case 'contradiction':
        return block(operation, 'mint_contradiction');
      case 'unresolved':
        if (isFirst && result.unsent) undone.add(id);
        return {
          done: false,
          ...(result.retryAfterMs === undefined ? {} : { retryAfterMs: result.retryAfterMs }),
        };
    }
  };
}
