/** One round of an invoice: was it paid, then plan, then mint; and how soon to ask again. */
import { invariant } from '../base/error.ts';
import type { OperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import type { Sealer } from '../base/seal.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { MintOperation } from '../ledger/lightning.ts';
import type { Wallet } from '../wallet/wallet.ts';
import type { StepResult } from './drive.ts';
import type { QuoteWatch } from './quote-watch.ts';

export interface MintStep {
  run: (id: OperationId) => Promise<StepResult>;
}

export function createMintStep(parts: {
  ledger: Ledger;
  wallet: Wallet;
  sealer: Sealer;
  watch: QuoteWatch;
  clock: Clock;
  log: Logger;
}): MintStep {
  const { ledger, wallet, sealer, watch, clock, log } = parts;
  const { lightning } = wallet;
  /** Invoices that nobody has paid yet: the more, the slower each is asked about. */
  const waiting = new Set<OperationId>();
  /** How often in a row the mint said that it has no such quote: it may only have a bad moment. */
  const denials = new Map<OperationId, number>();

  const current = (id: OperationId): MintOperation => {
    const operation = ledger.operation(id);
    invariant(operation?.kind === 'mint', 'a mint operation keeps its kind');
    return operation;
  };

  function pace(operation: MintOperation): number {
    const { invoice } = LIMITS;
    const now = unixSeconds(clock);
    const age = now - operation.createdAt;
    const crowd = Math.max(1, waiting.size / invoice.fullPaceMax);
    const isOld = now >= operation.expiresAt + invoice.graceSeconds && now < endOf(operation);
    if (isOld) return Math.min(invoice.askOldMs * crowd, invoice.askOldSlowestMs);
    if (now >= operation.expiresAt) return Math.min(invoice.askExpiredMs * crowd, invoice.askSlowestMs);
    const base =
      age < invoice.firstSeconds
        ? invoice.askFirstMs
        : age < invoice.soonSeconds
          ? invoice.askSoonMs
          : invoice.askLateMs;
    return Math.min(base * crowd, invoice.askExpiredMs);
  }

  async function block(id: OperationId, reason: string, detail: string): Promise<StepResult> {
    log.error('gateway.invoice.blocked', { operation: id, detail });
    await ledger.blockOperation(id, reason).durable;
    return { done: true };
  }

  async function look(operation: MintOperation): Promise<StepResult | 'paid'> {
    const { id, mint } = operation;
    const state = await lightning.mintQuoteState(mint, sealer.open(operation.quote, id));
    if (state === 'paid') return 'paid';
    // Outputs are planned before a mint is asked to sign: without a plan it was not us.
    if (state === 'issued') return block(id, 'quote_minted_elsewhere', 'issued without our outputs');
    const isOver = unixSeconds(clock) >= endOf(operation);
    const denied = state === 'forgotten' ? (denials.get(id) ?? 0) + 1 : 0;
    denials.set(id, denied);
    const isGone = denied >= LIMITS.mint.unknownRefusalsMax;
    if (isOver && (state === 'unpaid' || isGone)) {
      if (isGone) log.warn('gateway.invoice.forgotten', { operation: id });
      await ledger.failOperation(id, isGone ? 'quote_forgotten' : 'expired').durable;
      return { done: true };
    }
    return { done: false, waits: true, retryAfterMs: pace(operation) };
  }

  /** False when the mint cannot be asked for a keyset now. */
  async function plan({ id, mint, unit, amount }: MintOperation): Promise<boolean> {
    try {
      await ledger.planMint(id, await lightning.mintOutputs(mint, unit, amount)).durable;
      return true;
    } catch (error) {
      log.warn('gateway.invoice.unplanned', { operation: id, error: errorKind(error) });
      return false;
    }
  }

  async function mint(operation: MintOperation): Promise<StepResult> {
    const { id, mint: url, unit, locked, plan: outputs, oldPlans } = operation;
    invariant(outputs !== undefined, 'outputs are planned before they are signed');
    const result = await lightning.mintTokens({
      mint: url,
      unit,
      quote: sealer.open(operation.quote, id),
      lock: id,
      locked,
      plan: outputs,
      ...(oldPlans && { oldPlans }),
    });
    switch (result.outcome) {
      case 'signed':
        await ledger.completeMint(id, result.blindSignatures, result.plan).durable;
        log.info('gateway.invoice.credited', { operation: id });
        return { done: true };
      case 'contradiction':
        return block(id, 'mint_contradiction', result.detail);
      case 'replan':
        if ((oldPlans?.length ?? 0) >= LIMITS.mint.replansMax)
          return block(id, 'replans', 'too many plans refused');
        await plan(operation);
        return { done: false };
      case 'unresolved':
        return {
          done: false,
          ...(result.retryAfterMs === undefined ? {} : { retryAfterMs: result.retryAfterMs }),
        };
    }
  }

  function wait({ id, mint, quote, expiresAt }: MintOperation): void {
    waiting.add(id);
    // Who pays an invoice after its end is not in a hurry.
    if (unixSeconds(clock) >= expiresAt) watch.end(id);
    else watch.begin(id, { kind: 'bolt11_mint_quote', mint, quote: sealer.open(quote, id) });
  }
  function endWait(id: OperationId): void {
    waiting.delete(id);
    denials.delete(id);
    watch.end(id);
  }

  return {
    run: async (id) => {
      const operation = current(id);
      if (operation.state !== 'executing') return { done: true };
      if (operation.plan === undefined) {
        wait(operation);
        const seen = await look(operation);
        if (seen !== 'paid') {
          if (seen.done) endWait(id);
          return seen;
        }
        endWait(id);
        if (!(await plan(operation))) return { done: false };
      }
      return mint(current(id));
    },
  };
}

/** Unix seconds from which on nobody looks for a payment any more. */
const endOf = ({ expiresAt, payableUntil = expiresAt }: MintOperation): number =>
  payableUntil + LIMITS.invoice.graceSeconds;
