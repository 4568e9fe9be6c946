/**
 * Takes back what a payment was made of, after an attempt whose answer was lost. The quote says unpaid and the inputs
 * are unspent, but the lost request may still arrive: so the inputs are swapped away first. Whichever of the two
 * reaches the mint first decides, and the mint itself sees to it that the other one fails.
 *
 *   plan on disk ──► state of the quote ──► PAID ──► done       PENDING ──► later
 *              UNPAID, or no such quote ─┴─► swap ──► signed ──► failed, everything is back
 *                                         └─ inputs spent ──► state of the quote, once more; of one that the mint
 *                                                             forgot the change says whether it was paid
 */
import { invariant } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { OperationId } from '../base/id.ts';
import { type Logger, errorKind } from '../base/log.ts';
import type { Unit } from '../base/money.ts';
import type { StoredProof } from '../base/proof.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { MeltOperation } from '../ledger/lightning.ts';
import type { MeltOutcome } from '../wallet/lightning.ts';
import type { Wallet } from '../wallet/wallet.ts';
import type { StepResult } from './drive.ts';

/** Ends that are booked, or waited for, whatever asked for them. */
export type MeltEnding = Exclude<MeltOutcome, { outcome: 'unpaid' | 'forgotten' }>;

export interface Reclaim {
  /** Writes down the outputs of the swap. `reason` is what the operation will have failed with. */
  plan: (operation: MeltOperation, reason: string) => Promise<StepResult>;
  swap: (operation: MeltOperation) => Promise<StepResult>;
}

export function createReclaim(parts: {
  ledger: Ledger;
  wallet: Wallet;
  /** Books how the payment ended, or asks again later. */
  settle: (operation: MeltOperation, outcome: MeltEnding) => Promise<StepResult>;
  /** Whether change that is owed is still waited for. */
  isPatient: (id: OperationId) => boolean;
  /** Nothing is known that could decide it: alarm, an operator looks. */
  block: (operation: MeltOperation, reason: string, detail: string) => Promise<StepResult>;
  log: Logger;
}): Reclaim {
  const { ledger, wallet, settle, isPatient, block, log } = parts;

  async function plan(operation: MeltOperation, reason: string): Promise<StepResult> {
    const { id, mint, unit, spend } = operation;
    invariant(spend !== undefined, 'an open payment has inputs');
    if ((spend.reclaim?.oldPlans?.length ?? 0) >= LIMITS.mint.replansMax)
      return block(operation, 'replans', 'too many plans refused');
    const outputs = await outputsFor(mint, unit, spend.inputs).catch((error: unknown) => {
      log.warn('gateway.melt.unplanned', { operation: id, error: errorKind(error) });
    });
    if (outputs) await ledger.planReclaim(id, { ...outputs, reason }).durable;
    return { done: false };
  }

  async function outputsFor(mint: string, unit: Unit, inputs: StoredProof[]) {
    const { feePpk } = await wallet.activeKeyset(mint, unit);
    const fee = Math.ceil(inputs.reduce((sum, { keyset }) => sum + feePpk(keyset), 0) / 1000);
    const value = inputs.reduce((sum, { amount }) => sum + amount, 0);
    return wallet.lightning.mintOutputs(mint, unit, value - fee);
  }

  async function swap(operation: MeltOperation): Promise<StepResult> {
    const { id, mint, unit, spend } = operation;
    invariant(spend?.reclaim !== undefined, 'a swap is planned before it is made');
    const { inputs, reclaim } = spend;
    const patient = isPatient(id);
    const ask = (): Promise<MeltOutcome> =>
      wallet.lightning.melt({ ...operation, ...spend, firstAttempt: false, onlyAsk: true, patient });
    const before = await ask();
    // Inputs that are spent without a trace of the payment may be so by this very swap: it finds out.
    if (before.outcome !== 'untraceable' && isToBeSettled(before)) return settle(operation, before);
    const { plan: outputs, oldPlans, reason } = reclaim;
    const old = oldPlans && { oldPlans };
    const result = await wallet.swap({ mint, unit, inputs, plan: outputs, ...old, firstAttempt: false });
    switch (result.outcome) {
      case 'signed':
        await ledger.completeReclaim(id, result.blindSignatures, result.plan).durable;
        log.info('gateway.melt.reclaimed', { operation: id });
        return { done: true };
      case 'refused':
      case 'replan':
        return plan(operation, reason);
      case 'spent': {
        // The payment arrived after all, between the two questions.
        const after = await ask();
        if (isToBeSettled(after)) return settle(operation, after);
        return block(operation, 'own_proofs_spent', 'inputs are spent, and the quote is not paid');
      }
      case 'contradiction':
        return block(operation, 'mint_contradiction', result.detail);
      case 'unresolved':
        return {
          done: false,
          ...(result.retryAfterMs === undefined ? {} : { retryAfterMs: result.retryAfterMs }),
        };
    }
  }

  return { plan, swap };
}

const isToBeSettled = (outcome: MeltOutcome): outcome is MeltEnding =>
  outcome.outcome !== 'unpaid' && outcome.outcome !== 'forgotten';
