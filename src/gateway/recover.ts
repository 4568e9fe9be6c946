/** Recovery at start: every unfinished operation is taken up by the same code that began it. */
import type { Logger } from '../base/log.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Deposits } from './deposit.ts';
import type { Invoices } from './invoice.ts';
import type { Melts } from './melt.ts';
import type { Payouts } from './payout.ts';

export function resumeUnfinished(parts: {
  ledger: Ledger;
  deposits: Deposits;
  payouts: Payouts;
  invoices: Invoices;
  melts: Melts;
  log: Logger;
}): number {
  const { ledger, deposits, payouts, invoices, melts, log } = parts;
  let resumed = 0;
  for (const operation of ledger.unfinished()) {
    if (operation.state === 'blocked') {
      log.error('gateway.operation.blocked', { operation: operation.id, reason: operation.reason });
      continue;
    }
    log.info('gateway.operation.resumed', { operation: operation.id, kind: operation.kind });
    resumed += 1;
    switch (operation.kind) {
      case 'receive':
        deposits.resume(operation);
        break;
      case 'send':
        payouts.resume(operation);
        break;
      case 'mint':
        invoices.resume(operation);
        break;
      case 'melt':
        melts.resume(operation);
    }
  }
  return resumed;
}
