/** Deposit: a presented token becomes proofs of ours and a credit, once, whatever the network does meanwhile. */
import { NodeError, invariant } from '../base/error.ts';
import { type AccountId, type OperationId, newOperationId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { type Logger, errorKind } from '../base/log.ts';
import { unitToMsat } from '../base/money.ts';
import type { Sealer } from '../base/seal.ts';
import { Secret } from '../base/secret.ts';
import type { Idempotency } from '../ledger/idempotency.ts';
import type { AccountKind, AccountTerms, Ledger, ReceiveOperation } from '../ledger/ledger.ts';
import type { InputProof, ReceivePlan, TokenInfo, Wallet } from '../wallet/wallet.ts';
import type { DeadTokens } from './dead-tokens.ts';
import { foreignClaim, refusalOf, tokenSpent } from './deposit-refusal.ts';
import type { Driver, StepResult } from './drive.ts';
import type { JunkLimit, Presenter } from './rate.ts';

const SPENT = 'token_already_spent';

export interface Beneficiary {
  account: AccountId;
  accountKind: AccountKind;
  purpose: ReceiveOperation['purpose'];
  /** Of the account, where this deposit creates it. */
  terms?: AccountTerms;
  idempotency?: Idempotency | undefined;
}

export interface Deposits {
  /**
   * Credits a token to its beneficiary. The same token for the same beneficiary again is `replayed`, not credited.
   * Throws NodeError: what `Wallet.inspect` and `planReceive` throw, token_already_spent, token_already_claimed,
   * mint_unreachable (payment in flight: the same token may be sent again), mint_quarantined, rate_limited. `source`
   * is where the token came from, for the last of them.
   */
  deposit: (
    info: TokenInfo,
    to: Beneficiary,
    source?: string,
  ) => Promise<{ operation: ReceiveOperation; replayed: boolean }>;
  /** Waits for an operation that exists already, as long as a client can wait. Throws as above. */
  settled: (id: OperationId) => Promise<ReceiveOperation>;
  /** Takes up an operation found unfinished at start. */
  resume: (operation: ReceiveOperation) => void;
}

export function createDeposits(parts: {
  ledger: Ledger;
  wallet: Wallet;
  sealer: Sealer;
  driver: Driver;
  dead: DeadTokens;
  junk: JunkLimit;
  log: Logger;
}): Deposits {
  const { ledger, wallet, sealer, driver, dead, junk, log } = parts;

  const current = (id: OperationId): ReceiveOperation => {
    const operation = ledger.operation(id);
    invariant(operation?.kind === 'receive', 'a receive operation keeps its kind');
    return operation;
  };

  /** An attempt of these had no answer and may still arrive. */
  const inDoubt = new Set<OperationId>();

  /** One round with the mint; true when the operation reached a final state. */
  async function step(id: OperationId, firstAttempt: boolean): Promise<StepResult> {
    const result = await round(id, firstAttempt);
    if (result.done) inDoubt.delete(id);
    return result;
  }

  async function round(id: OperationId, firstAttempt: boolean): Promise<StepResult> {
    const operation = current(id);
    if (operation.state !== 'executing') return { done: true };
    invariant(operation.inputs !== undefined, 'an executing receive keeps its inputs');
    const inputs = JSON.parse(sealer.open(operation.inputs, operation.textHash)) as InputProof[];
    const result = await wallet.swap({
      mint: operation.mint,
      unit: operation.unit,
      inputs,
      plan: operation.plan,
      ...(operation.oldPlans ? { oldPlans: operation.oldPlans } : {}),
      firstAttempt,
    });
    switch (result.outcome) {
      case 'signed':
        await ledger.completeReceive(id, result.blindSignatures, result.plan).durable;
        wallet.prepare(operation.mint, operation.unit, storedProofs(result.plan, result.blindSignatures));
        return { done: true };
      case 'spent':
        await ledger.failOperation(id, SPENT).durable;
        return { done: true };
      case 'refused':
        // Told so, its owner would take the token elsewhere, where the late request would spend it under his hands.
        if (result.vague && inDoubt.has(id) && driver.attempt(id) < LIMITS.mint.vagueRoundsMax)
          return { done: false };
        await ledger.failOperation(id, `refused_${result.code}`).durable;
        return { done: true };
      case 'contradiction':
        log.error('gateway.deposit.blocked', { operation: id, detail: result.detail });
        await ledger.blockOperation(id, 'mint_contradiction').durable;
        return { done: true };
      case 'replan':
        return replan(operation, inputs);
      case 'unresolved':
        if (!result.unsent) inDoubt.add(id);
        return {
          done: false,
          ...(result.retryAfterMs === undefined ? {} : { retryAfterMs: result.retryAfterMs }),
        };
    }
  }

  /** The keyset rotated or its fee changed under way: the inputs are untouched, so plan anew with new counters. */
  async function replan(operation: ReceiveOperation, inputs: InputProof[]): Promise<StepResult> {
    if ((operation.oldPlans?.length ?? 0) >= LIMITS.mint.replansMax) {
      await ledger.failOperation(operation.id, 'unknown_keyset').durable;
      return { done: true };
    }
    try {
      const { mint, unit, textHash, claims } = operation;
      const face = unitToMsat(
        inputs.reduce((sum, proof) => sum + proof.amount, 0),
        unit,
      );
      const plan = await wallet.planReceive({
        mint,
        unit,
        face,
        textHash,
        claims,
        proofs: new Secret(inputs),
      });
      await ledger.replanReceive(operation.id, { keyset: plan.keyset, amounts: plan.amounts, fee: plan.fee })
        .durable;
      return { done: false };
    } catch (error) {
      if (!(error instanceof NodeError) || error.status >= 500) return { done: false };
      await ledger.failOperation(operation.id, error.code).durable;
      return { done: true };
    }
  }

  /** Goes on with what is unfinished and has nobody behind it. */
  function takeUp(id: OperationId): void {
    const found = async (): Promise<StepResult> => {
      inDoubt.add(id);
      await ledger.flushed();
      return step(id, false);
    };
    driver.run(id, found, 'found');
  }

  async function settled(id: OperationId): Promise<ReceiveOperation> {
    if (current(id).state === 'executing') takeUp(id);
    await driver.wait(id, LIMITS.mint.clientWaitMs);
    const operation = current(id);
    if (operation.state === 'executing') {
      throw new NodeError(
        'mint_unreachable',
        'Payment in flight: the mint has not answered yet. Send the SAME token to the same endpoint again; it will be credited once.',
        { retryAfterMs: 2_000, metadata: { operation_id: id } },
      );
    }
    if (operation.state === 'done') {
      // Done in memory may not be on disk yet, and a crash must not take back what somebody was told.
      await ledger.completeReceive(id, [], operation.plan).durable;
      return operation;
    }
    throw refusalOf(operation);
  }

  function claim(info: TokenInfo, plan: ReceivePlan, to: Beneficiary) {
    return ledger.openReceive({
      id: newOperationId(),
      account: to.account,
      accountKind: to.accountKind,
      purpose: to.purpose,
      mint: info.mint,
      unit: info.unit,
      textHash: info.textHash,
      claims: info.claims,
      inputs: sealer.seal(JSON.stringify(plan.inputs), info.textHash),
      fee: plan.fee,
      keyset: plan.keyset,
      amounts: plan.amounts,
      ...(to.terms && { terms: to.terms }),
      ...(to.idempotency && { idempotency: to.idempotency }),
    });
  }

  /** Remembers which proofs of the token are spent at the mint; true if there is one. */
  async function learnSpent(info: TokenInfo): Promise<boolean> {
    const spent = await wallet.spentClaims(info).catch((error: unknown) => {
      log.info('gateway.deposit.unasked', { mint: info.mint, error: errorKind(error) });
      return [];
    });
    dead.add(spent);
    return spent.length > 0;
  }

  async function noteRefusal(ended: ReceiveOperation, info: TokenInfo, presenter: Presenter): Promise<void> {
    if (ended.state !== 'failed') return;
    junk.refused(presenter);
    if (ended.reason === SPENT) await learnSpent(info);
  }

  return {
    deposit: async (info, to, source) => {
      const presenter = { source, mint: info.mint };
      const before = ledger.operationOfText(info.textHash);
      if (before && before.account === to.account && before.state !== 'failed') {
        return { operation: await settled(before.id), replayed: true };
      }
      if (dead.includes(info.claims)) throw tokenSpent();
      const plan = await wallet.planReceive(info);
      // From here on each attempt costs the journal an entry and the mint a request.
      junk.admit(presenter);
      const opened = claim(info, plan, to);
      if (opened.outcome === 'foreign') {
        const inDoubt = opened.operation.reason === SPENT;
        throw foreignClaim(info, opened.operation, inDoubt && (await learnSpent(info)));
      }
      const { id } = opened.operation;
      if (opened.outcome === 'opened') {
        const fresh = opened.operation.oldPlans === undefined;
        // Taken up again: the runner that ended it may still be writing, and would be taken for the new one.
        if (!fresh) await driver.ended(id);
        // The runner exists from this very turn on, so that whoever presents the same token now waits for it; it
        // speaks to the mint only when the intent is on disk.
        driver.run(id, async (attempt) => {
          await opened.durable;
          const result = await step(id, fresh && attempt === 0);
          if (result.done) await noteRefusal(current(id), info, presenter);
          return result;
        });
      }
      return { operation: await settled(id), replayed: opened.outcome === 'replayed' };
    },
    settled,
    resume: ({ id }) => takeUp(id),
  };
}

export const storedProofs = (
  plan: { keyset: string; counter: number; amounts: number[] },
  blindSignatures: string[],
) =>
  plan.amounts.map((amount, i) => {
    const blindSignature = blindSignatures[i];
    invariant(blindSignature !== undefined, 'one signature for each output');
    return { keyset: plan.keyset, counter: plan.counter + i, amount, blindSignature };
  });
