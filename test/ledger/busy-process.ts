/** A process that moves money until it is killed, and says on stdout which movements were acknowledged as durable. */
import { createInterface } from 'node:readline';
import { silentLogger } from '../../src/base/log.ts';
import { msat } from '../../src/base/money.ts';
import { systemClock } from '../../src/base/time.ts';
import { openLedger } from '../../src/ledger/level.ts';
import { accountOf, payment, signatures } from './fixture.ts';

createInterface({ input: process.stdin }).once('line', (dir) => void main(dir));

async function main(dir: string): Promise<void> {
  const ledger = await openLedger({ dir, clock: systemClock, log: silentLogger });
  process.stdout.write('open\n');
  await Promise.all(Array.from({ length: 16 }, (_, lane) => spend(lane)));

  async function spend(lane: number): Promise<void> {
    const account = accountOf(`lane ${lane}`);
    for (let round = ledger.account(account)?.totalRequests ?? 0; ; round++) {
      const name = `${process.pid} ${lane} ${round}`;
      const opened = ledger.openReceive(payment(name, { account, purpose: 'topup' }));
      const { id, plan } = opened.operation;
      await ledger.completeReceive(id, signatures(plan.amounts.length), plan).durable;
      process.stdout.write(`credit ${lane}\n`);
      const held = ledger.hold({ id: name, account, amount: msat(3_000) });
      if (held.outcome !== 'held') throw new Error(held.outcome);
      ledger.hurry();
      await held.durable;
      const settled = ledger.settle(name, msat(1_000));
      if (settled.outcome !== 'settled') throw new Error(settled.outcome);
      await settled.durable;
      process.stdout.write(`spent ${lane}\n`);
      ledger.hold({ id: `${name} never settled`, account, amount: msat(1_000) });
    }
  }
}
