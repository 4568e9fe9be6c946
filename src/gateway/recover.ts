/** Recovery at start: every unfinished operation is taken up by the same code that began it. */
import type { Logger } from '../base/log.ts';
import type { Ledger, Operation } from '../ledger/ledger.ts';
import type { Deposits } from './deposit.ts';
import type { Invoices } from './invoice.ts';
import type { Melts } from './melt.ts';
import type { Payouts } from './payout.ts';

export interface Hands {
  deposits: Deposits;
  payouts: Payouts;
  invoices: Invoices;
  melts: Melts;
}

export function resumeUnfinished(parts: Hands & { ledger: Ledger; log: Logger }): number {
  const { ledger, log } = parts;
  let resumed = 0;
  for (const operation of ledger.unfinished()) {
    if (operation.state === 'blocked') {
      log.error('gateway.operation.blocked', { operation: operation.id, reason: operation.reason });
      continue;
    }
    log.info('gateway.operation.resumed', { operation: operation.id, kind: operation.kind });
    resumed += 1;
    takeUp(operation, parts);
  }
  return resumed;
}

export function takeUp(operation: Operation, { deposits, payouts, invoices, melts }: Hands): void {
  switch (operation.kind) {
    case 'receive':
      return deposits.resume(operation);
    case 'send':
      return payouts.resume(operation);
    case 'mint':
      return invoices.resume(operation);
    case 'melt':
      return melts.resume(operation);
  }
}
