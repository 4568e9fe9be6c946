/** QuoteWatch: what a mint says by itself about a quote (NUT-17) makes the next round come at once. It proves nothing. */
import type { OperationId } from '../base/id.ts';
import type { HintKind } from '../wallet/hint-frames.ts';
import type { Wallet } from '../wallet/wallet.ts';
import type { Driver } from './drive.ts';

export interface QuoteWatch {
  /** Until `end`. For an operation that is watched already nothing changes. */
  begin: (id: OperationId, about: { kind: HintKind; mint: string; quote: string }) => void;
  end: (id: OperationId) => void;
}

export function createQuoteWatch(parts: { wallet: Wallet; driver: Driver }): QuoteWatch {
  const { wallet, driver } = parts;
  const ends = new Map<OperationId, () => void>();
  return {
    begin: (id, { kind, mint, quote }) => {
      if (ends.has(id)) return;
      ends.set(
        id,
        wallet.lightning.watchQuote(mint, kind, quote, () => driver.wake(id)),
      );
    },
    end: (id) => {
      ends.get(id)?.();
      ends.delete(id);
    },
  };
}
