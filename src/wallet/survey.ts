/**
 * Survey: how far a keyset's counters were used by a ledger that was lost. Of what came after the backup from which a
 * ledger was restored nobody knows but the mint, and a counter that is used twice brings back old signatures (NUT-13).
 */
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Curve } from './curve.ts';
import { restoredAt } from './mint-answers.ts';
import type { Mint } from './mints.ts';

/** Where the counters of a restored ledger are kept. */
export interface CounterMemory {
  /** The next counter of a keyset that was not surveyed since the ledger was restored; undefined if it was. */
  unsurveyed: (keyset: string) => number | undefined;
  /** No counter below `next` will be used. Durable when it resolves. */
  surveyed: (keyset: string, next: number) => Promise<void>;
}

/** To be waited for before outputs are planned on a keyset. Throws mint_unreachable: unasked, nothing can be planned. */
export type Survey = (mint: Mint, keyset: string) => Promise<void>;

export function createSurvey(parts: {
  curve: Pick<Curve, 'run'>;
  memory: CounterMemory | undefined;
  log: Logger;
}): Survey {
  const { curve, memory, log } = parts;
  const underWay = new Map<string, Promise<void>>();

  async function usedIn({ client }: Mint, keyset: string, counter: number): Promise<number | undefined> {
    const count = LIMITS.mint.surveyWindow;
    const blinded = await curve.run({ type: 'blind', keyset, counter, count }, 1);
    const outputs = blinded.map((B_) => ({ id: keyset, amount: 1, B_ }));
    const answer = await client.post('/v1/restore', JSON.stringify({ outputs }));
    const last = answer.kind === 'ok' ? restoredAt(answer.body, blinded) : undefined;
    if (last !== undefined) return last < 0 ? undefined : counter + last;
    throw new NodeError(
      'mint_unreachable',
      'The mint does not tell what it signed before the ledger of this node was restored. Try again later.',
    );
  }

  async function walk(mint: Mint, keyset: string, known: number, to: CounterMemory): Promise<void> {
    let next = known;
    let empty = 0;
    for (let at = known; empty < LIMITS.mint.surveyEmptyWindows; at += LIMITS.mint.surveyWindow) {
      const used = await usedIn(mint, keyset, at);
      if (used !== undefined) next = used + 1;
      empty = used === undefined ? empty + 1 : 0;
    }
    await to.surveyed(keyset, next);
    log.info('wallet.keyset.surveyed', { mint: mint.url, keyset, known, next });
  }

  return async (mint, keyset) => {
    const known = memory?.unsurveyed(keyset);
    if (memory === undefined || known === undefined) return;
    const walking =
      underWay.get(keyset) ?? walk(mint, keyset, known, memory).finally(() => underWay.delete(keyset));
    underWay.set(keyset, walking);
    return walking;
  };
}
