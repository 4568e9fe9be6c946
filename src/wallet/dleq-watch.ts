/**
 * Checks after the fact that a mint signed with its published keys (NUT-12). The credit stays, because mints are
 * the operator's choice and so is the loss; but a mint that fails is quarantined.
 *
 * Each signature is checked once, from a queue in memory that is bounded by `uncheckedMax`. A check that finds no
 * room, or that waits when the worker or the wallet ends, is lost: it is counted in the log and never repeated.
 */
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Curve } from './curve.ts';
import type { Signature } from './mint-answers.ts';
import type { Mint } from './mints.ts';

export interface DleqWatch {
  check: (mint: Mint, signed: { blinded: string[]; signatures: Signature[] }) => void;
}

export function createDleqWatch(options: { curve: Curve; log: Logger }): DleqWatch {
  const { curve, log } = options;
  let skipped = 0;
  let lost = 0;
  let lostUnreported = 0;

  function checkOne(mint: Mint, B_: string, signature: Signature): void {
    const key = mint.keysets.get(signature.id)?.keys?.[String(signature.amount)];
    if (!signature.dleq || key === undefined) return;
    const { e, s } = signature.dleq;
    const job = { type: 'dleq', B_, C_: signature.C_, key, e: e.toLowerCase(), s: s.toLowerCase() } as const;
    curve.run(job, 2).then((holds) => {
      if (holds) return;
      log.error('wallet.dleq.invalid', { keyset: signature.id, amount: signature.amount });
      mint.quarantine('a signature is not of the published key');
    }, countLost);
  }

  /** Checks are lost many at a time; one line tells of all of them. */
  function countLost(): void {
    lost += 1;
    lostUnreported += 1;
    if (lostUnreported > 1) return;
    setImmediate(() => {
      log.warn('wallet.dleq.lost', { signatures: lostUnreported, total: lost });
      lostUnreported = 0;
    });
  }

  return {
    check: (mint, { blinded, signatures }) => {
      if (curve.waiting() + signatures.length > LIMITS.mint.uncheckedMax) {
        skipped += signatures.length;
        log.warn('wallet.dleq.skipped', { signatures: signatures.length, total: skipped });
        return;
      }
      for (const [i, signature] of signatures.entries()) checkOne(mint, blinded[i] ?? '', signature);
    },
  };
}
