/** Lightning outside of node and mints: invoices, who paid them, and addresses that give them out. */
import { playInvoice } from '../../src/demo/play-invoice.ts';
import { readInvoice } from '../../src/wallet/bolt11.ts';
import type { Invoice } from '../../src/wallet/lightning.ts';
import type { VirtualTime } from './time.ts';

export interface SimLightning {
  invoice: (msats: number, onPaid: () => void) => string;
  /** False for an invoice that nobody made or that was paid before. */
  pay: (invoice: string) => boolean;
  /** What an address answers: an invoice of its own (LUD-16). */
  invoiceOf: (address: string, msats: number) => Invoice;
  /** Msats that arrived at an address, however often. */
  received: (address: string) => number;
}

export function createSimLightning(time: VirtualTime, startMs: number): SimLightning {
  const waiting = new Map<string, () => void>();
  const received = new Map<string, number>();
  let made = 0;

  function invoice(msats: number, onPaid: () => void): string {
    const timestamp = Math.floor((startMs + time.now()) / 1000);
    const text = playInvoice(msats, { timestamp, paymentHash: (++made).toString(16).padStart(64, '0') });
    waiting.set(text, onPaid);
    return text;
  }

  return {
    invoice,
    pay: (text) => {
      const onPaid = waiting.get(text);
      waiting.delete(text);
      onPaid?.();
      return onPaid !== undefined;
    },
    invoiceOf: (address, msats) => {
      const arrives = (): void => void received.set(address, (received.get(address) ?? 0) + msats);
      return readInvoice(invoice(msats, arrives)) as Invoice;
    },
    received: (address) => received.get(address) ?? 0,
  };
}
