/** Errands over Lightning: keys and top-ups by invoice, paid, unpaid and unwatched; refunds to an address. */
import type { AccountBook } from './account-book.ts';
import { type Pauses, persist } from './persist.ts';
import type { Remitted, Reply, Till } from './till.ts';
import type { Verdict } from './verdict.ts';

/** Lightning outside of the node. */
export interface Streets {
  /** An invoice that a buyer was told, whether it is paid or not. */
  told?: (invoice: string) => void;
  /** False for an invoice that is not there to be paid. */
  pay: (invoice: string) => boolean;
  /** An address that nobody had before. */
  newAddress: () => string;
  /** Share of invoices that nobody pays; 0.2 where nothing is said. */
  abandoned?: number;
  /** Msats that have to arrive at an address, and no others. */
  expect: (address: string, msats: number) => void;
}

export interface LightningErrands {
  /** Undefined: no key came of it. */
  buyKey: (label: string) => Promise<{ key: string; credit: number } | undefined>;
  topUp: (label: string, key: string, book: AccountBook) => Promise<void>;
  /** `all`: as much as the fees leave. */
  remit: (label: string, key: string, sats: number | 'all', book: AccountBook) => Promise<void>;
}

const LOOKS_MAX = 600;
/** Invoices of a few sats cannot pay for anything. */
const SATS_LEAST = 16;

export function createLightningErrands(parts: {
  till: Till;
  streets: Streets;
  verdict: Verdict;
  pauses: Pauses;
  random: () => number;
  /** What a mint takes at most for taking back a payment that did not happen. */
  feeMost: number;
  trace: (line: string) => void;
  often: <T>(
    what: string,
    ask: () => Promise<Reply<T>>,
    same: (a: T, b: T) => boolean,
  ) => () => Promise<Reply<T>>;
}): LightningErrands {
  const { till, streets, verdict, pauses, random, feeMost, trace, often } = parts;
  const chance = (probability: number): boolean => random() < probability;
  const tools = { verdict, pauses };

  async function invoiced(label: string, bearer?: string) {
    const sats = SATS_LEAST + Math.floor(random() * 60);
    const ask = () => till.invoice(bearer === undefined ? { sats } : { sats, bearer });
    const made = await persist(`${label} invoice`, ask, tools);
    trace(`${label} invoice of ${sats}: ${made?.kind === 'refused' ? made.code : made?.kind}`);
    if (made?.kind !== 'ok') return undefined;
    streets.told?.(made.invoice);
    return { ...made, sats };
  }

  /** Undefined when it never came to be called paid, which is a finding for a paid one. */
  async function paidStatus(
    label: string,
    id: string,
    secret: string,
  ): Promise<{ key?: string } | undefined> {
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      const told = await persist(`${label} status`, () => till.invoiceStatus(id, secret), tools);
      if (told?.kind !== 'ok') {
        verdict.found('lost', `${label}: an invoice that was made is not known`);
        return undefined;
      }
      if (told.status === 'paid') return told;
      await pauses.again(looks, false);
    }
    verdict.found('unresolved', `${label}: a paid invoice is never credited`);
    return undefined;
  }

  async function mustBeUnpaid(label: string, id: string, secret: string): Promise<void> {
    await pauses.again(0, false);
    const told = await persist(`${label} status`, () => till.invoiceStatus(id, secret), tools);
    if (told?.kind === 'ok' && told.status === 'paid')
      verdict.found('duplicated', `${label}: an invoice that nobody paid is called paid`);
  }

  /** Waits for the credit without ever asking about the invoice. */
  async function unwatched(label: string, key: string, before: number, sats: number): Promise<void> {
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      const told = await persist(`${label} info`, () => till.info(key), tools);
      if (told?.kind === 'ok' && told.balance + told.held !== before) {
        const more = told.balance + told.held - before;
        if (more !== sats * 1000)
          verdict.found(
            more < sats * 1000 ? 'lost' : 'duplicated',
            `${label}: ${more} for ${sats} sat over Lightning`,
          );
        return;
      }
      await pauses.again(looks, false);
    }
    verdict.found('unresolved', `${label}: a paid invoice that nobody asks about is never credited`);
  }

  return {
    buyKey: async (label) => {
      const made = await invoiced(label);
      if (made === undefined) return undefined;
      if (chance(streets.abandoned ?? 0.2)) {
        await mustBeUnpaid(label, made.id, made.claimSecret);
        return undefined;
      }
      if (!streets.pay(made.invoice)) return undefined;
      const paid = await paidStatus(label, made.id, made.claimSecret);
      if (paid === undefined) return undefined;
      if (paid.key !== undefined) return { key: paid.key, credit: made.sats * 1000 };
      verdict.found('lost', `${label}: the key of a paid invoice is kept from its buyer`);
      return undefined;
    },

    topUp: async (label, key, book) => {
      const before = await persist(`${label} info`, () => till.info(key), tools);
      const made = await invoiced(label, key);
      if (made === undefined || before?.kind !== 'ok') return;
      if (chance(streets.abandoned ?? 0.2)) return mustBeUnpaid(label, made.id, made.claimSecret);
      if (!streets.pay(made.invoice)) return;
      if (before.held === 0 && chance(0.5)) await unwatched(label, key, before.balance, made.sats);
      else if ((await paidStatus(label, made.id, made.claimSecret)) === undefined) return;
      book.credit(made.sats * 1000);
    },

    remit: async (label, key, sats, book) => {
      const address = streets.newAddress();
      const wish = {
        address,
        ...(sats !== 'all' && { sats }),
        ...(chance(0.6) && { idempotencyKey: `${label} ${address}` }),
      };
      const same = (a: Remitted, b: Remitted): boolean => a.sats === b.sats && a.fee === b.fee;
      const reply = await persist(
        `${label} remit`,
        often(label, () => till.remit(key, wish), same),
        { ...tools, triesMax: TRIES_MAX },
      );
      trace(`${label} remit of ${sats}: ${reply?.kind === 'refused' ? reply.code : reply?.sats}`);
      if (reply?.kind !== 'ok') {
        book.refunded(0, feeMost);
        return streets.expect(address, 0);
      }
      streets.expect(address, reply.sats * 1000);
      if (sats !== 'all' && reply.sats !== sats)
        verdict.found('lost', `${label}: ${reply.sats} of ${sats} sat were sent`);
      book.refunded(reply.sats * 1000 + reply.fee, feeMost);
    },
  };
}

const TRIES_MAX = 1_200;
