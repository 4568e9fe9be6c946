/** Who gets the key that an invoice paid for: whoever proves the claim secret, or, for old clients, the first to ask. */
import { type OperationId, accountOfKey, hmacHex, sha256Hex } from '../base/id.ts';
import { msatPerUnit } from '../base/money.ts';
import { Secret } from '../base/secret.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { MintOperation } from '../ledger/lightning.ts';

export interface InvoiceProof {
  claimSecret?: Secret;
  /** A key that was sent along: it proves itself for the account it belongs to. */
  key?: Secret;
}

export interface InvoiceStatus {
  id: OperationId;
  status: 'pending' | 'settlement_pending' | 'paid' | 'expired' | 'reconciliation_required';
  amountSats: number;
  /** Unix seconds. */
  createdAt: number;
  expiresAt: number;
  paidAt: number | undefined;
  apiKey?: Secret;
}

export interface Claims {
  secretOf: (id: OperationId) => Secret;
  /** The key of the account that an invoice creates: it follows from the node's secret and is never stored. */
  newKey: (id: OperationId) => string;
  /** Of a top-up only the key that was sent along: whoever saw its invoice must not get an account that has money. */
  keyFor: (operation: MintOperation, proof: InvoiceProof) => Promise<Secret | undefined>;
}

export function createClaims(parts: { ledger: Ledger; keySecret: Secret<Uint8Array> }): Claims {
  const { ledger, keySecret } = parts;
  const newKey = (id: OperationId): string => `sk-${hmacHex(keySecret.reveal(), `invoice:${id}`)}`;

  return {
    secretOf: (id) => new Secret(hmacHex(keySecret.reveal(), `claim:${id}`)),
    newKey,
    keyFor: async (operation, { claimSecret, key }) => {
      if (key !== undefined && accountOfKey(key.reveal()) === operation.account) return key;
      if (operation.purpose === 'topup') return undefined;
      const known = new Secret(newKey(operation.id));
      if (claimSecret !== undefined)
        return sha256Hex(claimSecret.reveal()) === operation.claimHash ? known : undefined;
      if (operation.unproven !== true) return undefined;
      const { first, durable } = ledger.handOut(operation.id);
      await durable;
      return first ? known : undefined;
    },
  };
}

/** What an operation is called on the wire (RIP-08). A payment after the end is still credited: then it is paid. */
export function invoiceStatus(operation: MintOperation, now: number): InvoiceStatus {
  return {
    id: operation.id,
    status: nameOf(operation, now),
    amountSats: Math.floor((operation.amount * msatPerUnit(operation.unit)) / 1000),
    createdAt: operation.createdAt,
    expiresAt: operation.expiresAt,
    paidAt: operation.paidAt,
  };
}

function nameOf(operation: MintOperation, now: number): InvoiceStatus['status'] {
  switch (operation.state) {
    case 'done':
      return 'paid';
    case 'blocked':
      return 'reconciliation_required';
    case 'failed':
      return 'expired';
    case 'executing':
      if (operation.paidAt !== undefined) return 'settlement_pending';
      return now >= operation.expiresAt ? 'expired' : 'pending';
  }
}
