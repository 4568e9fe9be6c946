/** createGuard: who may use the proxy. It spends the buyer's money, so a web page in the buyer's browser may not. */
import type { IncomingMessage } from 'node:http';
import { NodeError } from '../base/error.ts';
import type { DmRequest } from './dm.ts';

export interface Guard {
  /** Throws NodeError for requests that a page of somebody else made a browser send. */
  check: (request: IncomingMessage) => void;
  /** Whose money: a key or token of the request, else the account of the proxy's own key. */
  credential: (request: IncomingMessage) => Pick<DmRequest, 'auth'>;
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** @param host the address that is listened on. */
export function createGuard(host: string): Guard {
  const local = LOOPBACK.test(host) || host === '::1';
  return {
    check: ({ headers }) => {
      // A name that somebody else points to this machine (DNS rebinding) makes their page "same origin" with us.
      const named = hostnameOf(`http://${headers.host ?? ''}`);
      if (local && (named === undefined || !LOOPBACK.test(named))) {
        throw forbidden('The proxy answers to localhost only.');
      }
      const origin = headers.origin === undefined ? undefined : hostnameOf(headers.origin);
      const foreign = headers.origin !== undefined && (origin === undefined || !LOOPBACK.test(origin));
      if (foreign || headers['sec-fetch-site'] === 'cross-site') {
        throw forbidden('Pages of other sites may not use the proxy.');
      }
    },
    credential: ({ headers }) => {
      const cashu = headers['x-cashu'];
      if (typeof cashu === 'string' && cashu !== '') return { auth: { cashu } };
      const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? headers['x-api-key'];
      if (typeof bearer === 'string' && /^(?:sk-[0-9a-f]{64}$|cashu[AB])/.test(bearer))
        return { auth: { bearer } };
      if (!local) {
        throw new NodeError(
          'missing_api_key',
          'Send a key (sk-…) or a token (cashu…) of your own as the API key.',
        );
      }
      // SDKs insist on some key; whatever is none of the node's means: pay from the account of the proxy's key.
      return {};
    },
  };
}

const forbidden = (message: string): NodeError => new NodeError('bad_request', message, { status: 403 });

function hostnameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}
