/** Fields of the balance routes: read one by one, each with its bounds. */
import type { IncomingMessage } from 'node:http';
import type { Request } from 'express';
import { NodeError } from '../base/error.ts';
import { type Msat, ZERO, msat } from '../base/money.ts';
import { Secret } from '../base/secret.ts';
import { looksLikeToken } from '../base/token-text.ts';
import type { AccountTerms } from '../gateway/account.ts';

export const queryFields = (req: Request): Record<string, unknown> => ({ ...req.query });

export function tokenField(fields: Record<string, unknown>, names: readonly string[]): Secret {
  const value = names.map((name) => fields[name]).find((candidate) => candidate !== undefined);
  if (value === undefined) {
    throw new NodeError('missing_param', 'A cashu_token is required.', {
      param: 'cashu_token',
      legacyDetail: 'A cashu_token is required.',
    });
  }
  if (typeof value !== 'string' || !looksLikeToken(value)) {
    throw new NodeError(
      'invalid_cashu_token',
      'Invalid token format: a Cashu token begins with cashuA or cashuB.',
      {
        param: 'cashu_token',
        legacyDetail: 'Invalid token format',
      },
    );
  }
  return new Secret(value.replace(/[\n\r\t]/g, ''));
}

/** Terms of a new key, from fields and the headers of old clients; query parameters arrive as strings. */
export function termsOf(req: IncomingMessage, fields: Record<string, unknown>): AccountTerms {
  const terms = limitsOf(fields);
  const validity = terms.validityDate ?? optionalWhole(fields, 'key_expiry') ?? expiryHeader(req);
  const refundAddress = addressOf(optionalText(fields, 'refund_address') ?? header(req, 'refund-lnurl'));
  if (header(req, 'key-expiry-time') !== undefined && refundAddress === undefined) {
    throw new NodeError(
      'invalid_request',
      'Error: Refund-LNURL header required when using Key-Expiry-Time. Nothing was redeemed.',
      { param: 'Refund-LNURL' },
    );
  }
  return {
    ...terms,
    ...(validity === undefined ? {} : { validityDate: validity }),
    ...(refundAddress === undefined ? {} : { refundAddress }),
  };
}

/** How much a key may spend, and until when. */
export function limitsOf(
  fields: Record<string, unknown>,
): Pick<AccountTerms, 'balanceLimit' | 'balanceLimitReset' | 'validityDate'> {
  const limit = optionalWhole(fields, 'balance_limit');
  const validity = optionalWhole(fields, 'validity_date');
  const reset = optionalText(fields, 'balance_limit_reset');
  if (reset !== undefined && !['daily', 'weekly', 'monthly'].includes(reset)) {
    throw invalid('balance_limit_reset', 'one of daily, weekly, monthly');
  }
  return {
    ...(limit === undefined ? {} : { balanceLimit: limit }),
    ...(validity === undefined ? {} : { validityDate: validity }),
    ...(reset === undefined ? {} : { balanceLimitReset: reset }),
  };
}

function expiryHeader(req: IncomingMessage): Msat | undefined {
  const text = header(req, 'key-expiry-time');
  if (text === undefined) return undefined;
  if (!/^\d{1,12}$/.test(text) || Number(text) === 0) {
    throw new NodeError('invalid_request', 'Invalid Key-Expiry-Time: must be a valid Unix timestamp.', {
      param: 'Key-Expiry-Time',
    });
  }
  return msat(Number(text));
}

/** A Lightning address or an LNURL; an address that no refund can be sent to would strand the money. */
function addressOf(text: string | undefined): string | undefined {
  if (text === undefined || isRefundAddress(text)) return text;
  throw invalid('refund_address', 'a Lightning address (name@host) or an LNURL');
}
export const isRefundAddress = (text: string): boolean => ADDRESS.test(text);
const ADDRESS =
  /^(?:[^\s@:/]{1,64}@[^\s@:/]+\.[^\s@:/]+(?::\d{1,5})?|(?:lightning:)?lnurl1[02-9ac-hj-np-z]{6,240})$/i;

const header = (req: IncomingMessage, name: string): string | undefined => {
  const value = req.headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
};

function optionalWhole(fields: Record<string, unknown>, name: string): Msat | undefined {
  const raw = fields[name];
  if (raw === undefined || raw === null || raw === '') return undefined;
  const value = typeof raw === 'string' && /^\d{1,16}$/.test(raw) ? Number(raw) : raw;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value <= ZERO) {
    throw invalid(name, 'a whole number above 0');
  }
  return msat(value);
}

export function optionalText(fields: Record<string, unknown>, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string' || value.length > 256)
    throw invalid(name, 'a text of at most 256 characters');
  return value;
}

export function amountField(body: Record<string, unknown>): number | undefined {
  const value = body['amount_sats'];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > 21e14) {
    throw new NodeError('invalid_amount', 'amount_sats must be a whole number of sats above 0.', {
      param: 'amount_sats',
    });
  }
  return value;
}

/** Where a refund goes: an address of the body, `null` for a token, else what the account was created with. */
export function addressField(body: Record<string, unknown>): string | null | undefined {
  const value = body['lightning_address'] ?? body['refund_address'];
  if (value === undefined && body['lightning_address'] === null) return null;
  return optionalText({ lightning_address: value }, 'lightning_address');
}

export const invalid = (param: string, what: string): NodeError =>
  new NodeError('invalid_request', `${param} must be ${what}.`, { param });
