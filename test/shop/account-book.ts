/** A buyer's own book of one key: what was told, what may have happened unheard, and what must therefore be there. */
import type { AccountTold } from './till.ts';
import type { Verdict } from './verdict.ts';

export interface AccountBook {
  credit: (msats: number) => void;
  /** A cost that the node named. */
  paid: (msats: number) => void;
  /** A request without a complete answer: it costs between nothing and this. */
  perhapsPaid: (mostMsats: number) => void;
  /** `feeMost`: what a mint may have taken for making exactly this token. */
  refunded: (msats: number, feeMost: number) => void;
  /** Compares a quiet account with the book; from then on what it says is known. */
  compare: (told: AccountTold) => void;
  /** A balance that was told right after a payment, with nothing else going on. */
  compareBalance: (balance: number) => void;
}

export function createAccountBook(name: string, verdict: Verdict): AccountBook {
  let credited = 0;
  let spent = 0;
  let perhaps = 0;
  let refunded = 0;
  let fees = 0;

  function judge(difference: number, what: string): void {
    if (difference < 0) verdict.found('lost', `${name}: ${what}, ${-difference} msat are missing`);
    if (difference > 0) verdict.found('duplicated', `${name}: ${what}, ${difference} msat too much`);
  }

  return {
    credit: (msats) => void (credited += msats),
    paid: (msats) => void (spent += msats),
    perhapsPaid: (most) => void (perhaps += most),
    refunded: (msats, feeMost) => {
      refunded += msats;
      fees += feeMost;
    },
    compare: (told) => {
      // A cost that was told is in the books for ever; one that was not told happened once or not at all.
      if (told.spent < spent)
        verdict.found('lost', `${name}: costs of ${spent} told, ${told.spent} on record`);
      if (told.spent > spent + perhaps)
        verdict.found('duplicated', `${name}: at most ${spent + perhaps} spent, ${told.spent} charged`);
      const most = credited - told.spent - refunded;
      if (told.balance > most) judge(told.balance - most, `balance ${told.balance}`);
      if (told.balance < most - fees) judge(told.balance - (most - fees), `balance ${told.balance}`);
      spent = told.spent;
      perhaps = 0;
      fees = most - told.balance;
      refunded += fees;
      fees = 0;
    },
    compareBalance: (balance) => {
      if (perhaps > 0 || fees > 0) return;
      judge(balance - (credited - spent - refunded), `told a balance of ${balance}`);
    },
  };
}
