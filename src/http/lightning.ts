/** Lightning routes (RIP-08): an invoice that makes or tops up a key, its status, and its recovery by the invoice. */
import type { Request, Response } from 'express';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import type { InvoiceMade } from '../gateway/invoice.ts';
import type { InvoiceProof, InvoiceStatus } from '../gateway/invoice-claim.ts';
import type { Lightning } from '../gateway/lightning.ts';
import type { TopUpCredential } from '../gateway/payer.ts';
import type { Credential } from '../gateway/request.ts';
import { readOptionalObject } from './body.ts';
import { requestId } from './context.ts';
import { bearerCredential, pubkeyCredential } from './credential.ts';
import { termsOf } from './fields.ts';
import { NO_STORE, replyJson } from './reply.ts';
import { sourceOf } from './source.ts';

type Handler = (req: Request, res: Response) => Promise<void>;
type Route = (method: 'get' | 'post', paths: readonly string[], handler: Handler) => void;

const FAMILIES = [
  '/lightning',
  '/v1/lightning',
  '/v2/lightning',
  ...['/v1/balance', '/balance', '/v1/wallet', '/wallet'].map((family) => `${family}/lightning`),
];
/** Paths of this face, for the answer to a wrong method. */
export const LIGHTNING_PATHS: readonly (readonly [RegExp, string])[] = [
  [/^(?:\/v1|\/v2|(?:\/v1)?\/(?:balance|wallet))?\/lightning\/(?:invoice|recover)\/?$/, 'POST'],
  [/^(?:\/v1|\/v2|(?:\/v1)?\/(?:balance|wallet))?\/lightning\/invoice\/[^/]+\/status\/?$/, 'GET'],
];

export function mountLightning(route: Route, lightning: Lightning): void {
  const under = (path: string): string[] => FAMILIES.map((family) => family + path);

  route('post', under('/invoice'), async (req, res) => {
    const body = await readOptionalObject(req);
    const to = topUpCredential(req, body);
    const claimHash = claimHashField(body);
    const made = await lightning.invoice({
      amountSats: amountField(body),
      terms: termsOf(req, body),
      source: () => sourceOf(req),
      ...(to && { to }),
      ...(claimHash !== undefined && { claimHash }),
    });
    answer(req, res, madeBody(made));
  });

  route('get', under('/invoice/:id/status'), async (req, res) => {
    const id = req.params['id'];
    const status = await lightning.status(typeof id === 'string' ? id : '', proofOf(req, {}));
    answer(req, res, statusBody(status));
  });

  route('post', under('/recover'), async (req, res) => {
    const body = await readOptionalObject(req);
    const invoice = body['bolt11'];
    if (typeof invoice !== 'string' || invoice.length > LIMITS.invoice.charsMax + 16)
      throw new NodeError('missing_param', 'The invoice is required as bolt11.', { param: 'bolt11' });
    answer(req, res, statusBody(await lightning.recover(invoice, proofOf(req, body))));
  });
}

function answer(req: Request, res: Response, body: Record<string, unknown>): void {
  replyJson(res, requestId(req), 200, body, NO_STORE);
}

const madeBody = (made: InvoiceMade): Record<string, unknown> => ({
  invoice_id: made.id,
  bolt11: made.invoice,
  amount_sats: made.amountSats,
  expires_at: made.expiresAt,
  payment_hash: made.paymentHash,
  ...(made.claimSecret && { claim_secret: made.claimSecret.reveal() }),
});

const statusBody = (status: InvoiceStatus): Record<string, unknown> => ({
  invoice_id: status.id,
  status: status.status,
  ...(status.apiKey && { api_key: status.apiKey.reveal() }),
  amount_sats: status.amountSats,
  paid_at: status.paidAt ?? null,
  created_at: status.createdAt,
  expires_at: status.expiresAt,
});

/** Undefined for an invoice that makes a new key. Old clients name the key in the body. */
function topUpCredential(req: Request, body: Record<string, unknown>): TopUpCredential | undefined {
  const signed = pubkeyCredential(req);
  // The account of a public key needs no making: its first invoice is a top-up unless a new key is asked for.
  const purpose = body['purpose'] ?? (signed ? 'topup' : 'create');
  if (purpose !== 'create' && purpose !== 'topup')
    throw new NodeError('invalid_request', 'purpose must be create or topup.', { param: 'purpose' });
  if (purpose === 'create') return undefined;
  const credential = bearerCredential(req);
  if (credential?.kind === 'pubkey') return credential;
  const key =
    keyIn(credential) ?? (typeof body['api_key'] === 'string' ? new Secret(body['api_key']) : undefined);
  if (key) return { kind: 'key', key, source: () => sourceOf(req) };
  throw new NodeError('missing_api_key', 'Authorization bearer api key is required for topup', {
    legacyDetail: 'Authorization bearer api key is required for topup',
  });
}

const keyIn = (credential: Credential | undefined): Secret | undefined =>
  credential?.kind === 'key' ? credential.key : undefined;

/** The secret travels in a header or a body, never in a URL. */
function proofOf(req: Request, body: Record<string, unknown>): InvoiceProof {
  const secret = body['claim_secret'] ?? req.headers['x-claim-secret'];
  const key = keyIn(bearerCredential(req));
  return {
    ...(typeof secret === 'string' && secret !== '' && { claimSecret: new Secret(secret) }),
    ...(key && { key }),
  };
}

function amountField(body: Record<string, unknown>): number {
  const value = body['amount_sats'];
  const most = LIMITS.invoice.satsMax;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
  throw new NodeError('invalid_amount', `amount_sats must be a whole number from 1 to ${most}.`, {
    param: 'amount_sats',
  });
}

function claimHashField(body: Record<string, unknown>): string | undefined {
  const value = body['claim_hash'];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string' && /^[0-9a-fA-F]{64}$/.test(value)) return value.toLowerCase();
  throw new NodeError(
    'invalid_request',
    'claim_hash must be the SHA-256 of your claim secret, 64 hex digits.',
    {
      param: 'claim_hash',
    },
  );
}
