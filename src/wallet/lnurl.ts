/**
 * Lightning addresses (LUD-16) and LNURL-pay (LUD-06, LUD-01): from `name@host` or `lnurl1…` to an invoice of exactly
 * the wanted amount.
 * The address is a stranger's: https and public addresses only, no redirects, everything it answers is checked.
 */
import { z } from 'zod';
import { NodeError } from '../base/error.ts';
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { bytesOf, readBech32 } from './bech32.ts';
import { readInvoice } from './bolt11.ts';
import type { Invoice } from './lightning.ts';
import { ipLiteral, isPrivateAddress } from '../base/address.ts';
import { getPublicJson } from './public-http.ts';

const payAnswer = z.object({
  tag: z.literal('payRequest'),
  callback: z.string().max(2_048),
  minSendable: z.int().min(1),
  maxSendable: z.int().min(1),
  metadata: z.string(),
});
const invoiceAnswer = z.object({ pr: z.string().max(LIMITS.invoice.charsMax) });

export interface AddressBook {
  /** Throws NodeError invalid_address, address_unreachable. */
  invoiceOf: (address: string, msat: number) => Promise<Invoice>;
  close: () => void;
}

export function createAddressBook(options: {
  /** Lets addresses point to this machine or a local network, by http: for tests and the demo. */
  allowPrivate: boolean;
  clock: Clock;
  log: Logger;
}): AddressBook {
  const { allowPrivate, clock, log } = options;
  const closing = new AbortController();

  async function ask(url: URL): Promise<unknown> {
    const how = {
      allowPrivate,
      clock,
      signal: closing.signal,
      bytesMax: LIMITS.lnurl.answerBytesMax,
      timeoutMs: LIMITS.lnurl.timeoutMs,
    };
    try {
      return await getPublicJson(url, how);
    } catch (error) {
      log.info('wallet.address.failed', { error: errorKind(error) });
      if (error instanceof Error && error.message === 'private_address') throw forbidden();
      throw new NodeError(
        'address_unreachable',
        'The Lightning address does not answer as one. Nothing was paid; try again later, or use another address.',
        { cause: error },
      );
    }
  }

  function callbackUrl(text: string, msat: number): URL {
    const url = checkedUrl(text, allowPrivate);
    url.searchParams.set('amount', String(msat));
    return url;
  }

  return {
    close: () => closing.abort(),
    invoiceOf: async (address, msat) => {
      const pay = payAnswer.safeParse(await ask(addressUrl(address, allowPrivate))).data;
      if (pay === undefined) throw invalid('The Lightning address does not take payments.');
      const { minSendable, maxSendable, metadata } = pay;
      if (msat < minSendable || msat > maxSendable) {
        throw invalid(`The Lightning address takes ${minSendable} to ${maxSendable} msat at once.`, {
          min_msats: minSendable,
          max_msats: maxSendable,
        });
      }
      const answer = invoiceAnswer.safeParse(await ask(callbackUrl(pay.callback, msat))).data;
      const invoice = answer === undefined ? undefined : readInvoice(answer.pr);
      if (invoice === undefined) throw invalid('The Lightning address gave no invoice.');
      if (invoice.msat !== msat)
        throw invalid('The Lightning address gave an invoice of another amount than asked for.');
      if (invoice.descriptionHash !== undefined && invoice.descriptionHash !== sha256Hex(metadata))
        throw invalid('The Lightning address gave an invoice for something else.');
      if (invoice.expiresAt < unixSeconds(clock) + LIMITS.lnurl.secondsLeftMin)
        throw invalid('The Lightning address gave an invoice that is over.');
      return invoice;
    },
  };
}

/** `name@host` → where LUD-16 says to ask; an LNURL → what it hides. Throws invalid_address. */
function addressUrl(address: string, allowPrivate: boolean): URL {
  const text = address
    .trim()
    .toLowerCase()
    .replace(/^lightning:/, '');
  if (text.startsWith('lnurl1')) return checkedUrl(hiddenUrl(text), allowPrivate);
  const match = /^([a-z0-9._+-]{1,64})@([a-z0-9.:[\]-]{1,255})$/.exec(text);
  const [name, host] = [match?.[1], match?.[2]];
  if (text.length > LIMITS.lnurl.addressCharsMax || name === undefined || host === undefined)
    throw invalid('A Lightning address looks like name@host or lnurl1….');
  const path = `${host}/.well-known/lnurlp/${encodeURIComponent(name)}`;
  const url = parsed(`https://${path}`);
  const literal = ipLiteral(url);
  const local = allowPrivate && literal !== undefined && isPrivateAddress(literal);
  return checkedUrl(`${local ? 'http' : 'https'}://${path}`, allowPrivate);
}

function hiddenUrl(lnurl: string): string {
  const words = lnurl.length > LIMITS.lnurl.addressCharsMax ? undefined : readBech32(lnurl)?.words;
  const bytes = words && bytesOf(words);
  if (bytes === undefined) throw invalid('This LNURL is damaged or too long.');
  return Buffer.from(bytes).toString('utf8');
}

function checkedUrl(text: string, allowPrivate: boolean): URL {
  const url = parsed(text);
  const plain = url.protocol === 'http:' && allowPrivate;
  if ((url.protocol !== 'https:' && !plain) || url.username !== '' || url.password !== '') throw forbidden();
  if (/\.onion\.?$/i.test(url.hostname)) throw forbidden();
  const literal = ipLiteral(url);
  if (literal !== undefined && !allowPrivate && isPrivateAddress(literal)) throw forbidden();
  return url;
}

function parsed(text: string): URL {
  try {
    return new URL(text);
  } catch (cause) {
    throw invalid('A Lightning address looks like name@host or lnurl1….', undefined, cause);
  }
}

const forbidden = (): NodeError =>
  invalid('The Lightning address leads where this node does not go: only https and public hosts are asked.');

const invalid = (message: string, metadata?: Record<string, unknown>, cause?: unknown): NodeError =>
  new NodeError('invalid_address', `${message} Nothing was paid.`, {
    param: 'lightning_address',
    ...(metadata && { metadata }),
    ...(cause === undefined ? {} : { cause }),
  });
