/** Blocked operations of a stopped node: what is known about each, and another try. */
import { EXIT, ExitError } from './base/error.ts';
import type { OperationId } from './base/id.ts';
import { LIMITS } from './base/limits.ts';
import { errorKind } from './base/log.ts';
import { unitToMsat } from './base/money.ts';
import { Secret } from './base/secret.ts';
import type { Config } from './config.ts';
import { takeUp } from './gateway/recover.ts';
import type { Operation } from './ledger/ledger.ts';
import { type Till, type Tools, withTill } from './node-wallet.ts';
import type { InputProof } from './wallet/wallet.ts';

export interface BlockedOperation {
  id: string;
  kind: Operation['kind'];
  purpose: Operation['purpose'];
  state: Operation['state'];
  reason?: string;
  mint: string;
  unit: string;
  /** First digits of the account; whole, it is nobody's business. */
  account: string;
  /** What depends on it: the debit of a payment, the face value of a deposit. */
  amount_msat: number;
  created_at: number;
  /** What the mint says now: states of the inputs (NUT-07), state of the quote. */
  evidence: Record<string, string | number>;
}

/** Every blocked operation, with what its mint says about it now. Moves nothing. */
export const blockedOperations = (config: Config, tools: Tools): Promise<BlockedOperation[]> =>
  withTill(config, tools, (till) =>
    Promise.all(
      till.ledger
        .unfinished()
        .filter(({ state }) => state === 'blocked')
        .map((operation) => describe(till, tools, operation)),
    ),
  );

/**
 * Takes one up again, and waits as long as a client would; what is not finished then goes on at the next start. With
 * a dry run nothing is changed. Throws ExitError 5 for an unknown operation, 1 for one that is not blocked.
 */
export const retryBlocked = (
  config: Config,
  tools: Tools,
  { id, dryRun }: { id: string; dryRun: boolean },
): Promise<BlockedOperation & { dry_run: boolean }> =>
  withTill(config, tools, async (till) => {
    const { ledger, driver } = till;
    const operation = ledger.operation(id as OperationId);
    if (operation === undefined) throw new ExitError(EXIT.notFound, `there is no operation ${id}`);
    if (operation.state !== 'blocked')
      throw new ExitError(EXIT.error, `operation ${id} is not blocked: it is ${operation.state}`);
    if (!dryRun) {
      await ledger.retryOperation(operation.id).durable;
      takeUp(ledger.operation(operation.id) ?? operation, till);
      await driver.wait(operation.id, LIMITS.mint.clientWaitMs);
    }
    const now = ledger.operation(operation.id) ?? operation;
    return { dry_run: dryRun, ...(await describe(till, tools, now)) };
  });

async function describe(till: Till, { log }: Tools, operation: Operation): Promise<BlockedOperation> {
  const { id, kind, purpose, state, reason, mint, unit, account, createdAt } = operation;
  const evidence = await evidenceOf(till, operation).catch((error: unknown) => {
    log.warn('wallet.evidence.missing', { operation: id, error: errorKind(error) });
    return { mint: 'does not answer' };
  });
  return {
    id,
    kind,
    purpose,
    state,
    ...(reason !== undefined && { reason }),
    mint,
    unit,
    account: account.slice(0, 8),
    amount_msat: amountOf(operation),
    created_at: createdAt,
    evidence,
  };
}

function amountOf(operation: Operation): number {
  if (operation.kind === 'send' || operation.kind === 'melt') return operation.debit;
  if (operation.kind === 'mint') return unitToMsat(operation.amount, operation.unit);
  const units = operation.plan.amounts.reduce((sum, amount) => sum + amount, 0);
  return unitToMsat(units, operation.unit);
}

async function evidenceOf(
  { wallet, secrets }: Till,
  operation: Operation,
): Promise<BlockedOperation['evidence']> {
  const { mint, unit } = operation;
  switch (operation.kind) {
    case 'receive': {
      if (operation.inputs === undefined) return {};
      const { textHash, claims } = operation;
      const inputs = JSON.parse(secrets.sealer.open(operation.inputs, textHash)) as InputProof[];
      const face = unitToMsat(
        inputs.reduce((sum, { amount }) => sum + amount, 0),
        unit,
      );
      const spent = await wallet.spentClaims({
        mint,
        unit,
        face,
        textHash,
        claims,
        proofs: new Secret(inputs),
      });
      return { inputs: inputs.length, inputs_spent: spent.length };
    }
    case 'mint':
      return {
        quote: await wallet.lightning.mintQuoteState(
          mint,
          secrets.sealer.open(operation.quote, operation.id),
        ),
      };
    case 'send':
    case 'melt': {
      const inputs = (operation.kind === 'send' ? operation.swap : operation.spend)?.inputs ?? [];
      const states = await wallet.checkStates(mint, unit, inputs);
      const count = (state: string): number => states.filter((each) => each === state).length;
      return {
        inputs: inputs.length,
        inputs_spent: count('SPENT'),
        inputs_pending: count('PENDING'),
        inputs_unknown: count('UNKNOWN'),
      };
    }
  }
}
