/**
 * Checks after the fact that a mint signed with its published keys (NUT-12). The credit stays, because mints are
 * the operator's choice and so is the loss; but a mint that fails is quarantined.
 */
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { OutputPlan } from '../base/proof.ts';
import type { Curve } from './curve.ts';
import type { Signature } from './mint-answers.ts';
import type { Mint } from './mints.ts';

export interface DleqWatch {
  check: (mint: Mint, plan: OutputPlan, signed: { blinded: string[]; signatures: Signature[] }) => void;
}

export function createDleqWatch(options: { curve: Curve; log: Logger }): DleqWatch {
  const { curve, log } = options;

  function checkOne(mint: Mint, B_: string, signature: Signature): void {
    const key = mint.keysets.get(signature.id)?.keys?.[String(signature.amount)];
    if (!signature.dleq || key === undefined) return;
    const { e, s } = signature.dleq;
    const job = { type: 'dleq', B_, C_: signature.C_, key, e: e.toLowerCase(), s: s.toLowerCase() } as const;
    curve.run(job, 2).then(
      (holds) => {
        if (holds) return;
        log.error('wallet.dleq.invalid', { keyset: signature.id, amount: signature.amount });
        mint.quarantine('a signature is not of the published key');
      },
      () => undefined, // The wallet is closing; the signature stays unchecked.
    );
  }

  return {
    check: (mint, _plan, { blinded, signatures }) => {
      if (curve.waiting() + signatures.length > LIMITS.mint.uncheckedMax) {
        log.warn('wallet.dleq.skipped', { signatures: signatures.length });
        return;
      }
      for (const [i, signature] of signatures.entries()) checkOne(mint, blinded[i] ?? '', signature);
    },
  };
}
