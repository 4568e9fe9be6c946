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
  for (const operation of [...ledger.unfinished()].sort(byUrgency)) {
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

/** Money that somebody asks for first; what only waits for somebody else to pay would take the mint's time from it. */
const URGENCY: Record<Operation['kind'], number> = { send: 0, receive: 1, melt: 2, mint: 3 };
const byUrgency = (a: Operation, b: Operation): number => URGENCY[a.kind] - URGENCY[b.kind];

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
