/** The HTTP face: which path leads where. What is not listed here does not exist. */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Express, NextFunction, Request, Response } from 'express';
import helmet from 'helmet';
import { NodeError } from '../base/error.ts';
import type { Logger } from '../base/log.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { type BalanceRoutes, createBalanceRoutes } from './balance.ts';
import { type ChildKeyRoutes, createChildKeyRoutes } from './child-keys.ts';
import { createExpressServer, requestId } from './context.ts';
import { replyError, toNodeError } from './error.ts';
import { createFraming } from './framing.ts';
import { LIGHTNING_PATHS, mountLightning } from './lightning.ts';
import { type LookUpRoutes, createLookUpRoutes } from './lookup.ts';
import { createPaidRoute } from './paid.ts';
import { type PublicFacts, createPublicRoutes } from './public.ts';
import { createQuoteRoute } from './quote.ts';
import { commonHeaders } from './reply.ts';
import { type SignedRequests, isSigned } from './signed.ts';

type Handler = (req: Request, res: Response) => void | Promise<void>;
type Method = 'get' | 'post' | 'delete';

export function createHttpFace(parts: {
  gateway: Gateway;
  facts: PublicFacts;
  signed: SignedRequests;
  log: Logger;
  /** The last entry of X-Forwarded-For is the client; else the header means nothing. */
  trustProxy: boolean;
}): Server {
  const { gateway, facts, signed, log, trustProxy } = parts;
  const framing = createFraming();
  const paid = createPaidRoute({ gateway, endpoint: 'chat/completions' });
  const paidPaths = withAndWithoutV1('/chat/completions');
  const direct = new Map<string | undefined, RequestListener>(
    paidPaths.map((path) => [path, (req, res) => void answer(paid, req, res)]),
  );
  const { app, server } = createExpressServer(framing.admit, direct);
  app.set('trust proxy', trustProxy ? 1 : false);
  server.on('checkExpectation', framing.refuseExpectation);
  server.on('clientError', framing.refuseBroken);

  const route = (method: Method, paths: readonly string[], handler: Handler): void => {
    app[method]([...paths], (req: Request, res: Response) => answer(handler, req, res));
  };
  async function answer<Req extends IncomingMessage, Res extends ServerResponse>(
    handler: (req: Req, res: Res) => void | Promise<void>,
    req: Req,
    res: Res,
  ): Promise<void> {
    try {
      if (isSigned(req)) await signed.take(req);
      await handler(req, res);
    } catch (error) {
      replyError(res, requestId(req), toNodeError(error, log, requestId(req)));
    }
  }

  // Other forms of the paths that lead there directly: with a query, or a slash at the end.
  route('post', paidPaths, paid);

  app.options('/{*path}', preflight);
  const lookUps = createLookUpRoutes({ lookUps: gateway.lookUps });
  mountBalance(route, {
    ...createBalanceRoutes({ accounts: gateway.accounts, lightning: gateway.lightning }),
    childKeys: createChildKeyRoutes({ childKeys: gateway.childKeys }),
    lookUps,
  });
  mountLightning(route, gateway.lightning);
  route('post', withAndWithoutV1('/quote'), createQuoteRoute({ gateway }));
  route('get', withAndWithoutV1('/ops/:id'), lookUps.operation);
  route('get', withAndWithoutV1('/generation'), lookUps.generation);

  const pages = createPublicRoutes(facts);
  route('get', withAndWithoutV1('/info'), pages.info);
  route('get', withAndWithoutV1('/models'), pages.models);
  route('get', withAndWithoutV1('/models/paths'), pages.paths);
  route('get', withAndWithoutV1('/models/paths/model'), pages.pathsOfModel);
  route('get', withAndWithoutV1('/models/*id'), pages.model);
  route('get', withAndWithoutV1('/providers'), pages.providers);
  route('get', ['/livez'], pages.live);
  route('get', ['/readyz'], pages.ready);
  app.use(['/'], helmet());
  route('get', ['/.well-known/nostr.json'], pages.nostrNames);
  route('get', ['/'], pages.root);

  mountRefusals(app, log);
  return server;
}

const withAndWithoutV1 = (path: string): string[] => [`/v1${path}`, path];

/** Both families, `/v1/balance/*` and `/v1/wallet/*`, lead to the same handlers. */
function mountBalance(
  route: (method: Method, paths: readonly string[], handler: Handler) => void,
  balance: BalanceRoutes & { childKeys: ChildKeyRoutes; lookUps: LookUpRoutes },
): void {
  const under = (name: string): string[] =>
    ['/v1/balance', '/v1/wallet', '/balance', '/wallet'].map((family) => family + name);
  route('post', under('/create'), balance.create);
  route('get', under('/create'), balance.create);
  route('get', [...under('/info'), ...under('/balance'), ...under(''), '/v1/key', '/key'], balance.info);
  route('post', under('/topup'), balance.topUp);
  route('post', under('/refund'), balance.refund);
  route('get', [...under('/history'), ...under('/transactions')], balance.lookUps.history);
  route('post', under('/child-key'), balance.childKeys.create);
  route('post', under('/child-key/reset'), balance.childKeys.reset);
  route('delete', under('/child-key/:id'), balance.childKeys.revoke);
}

function preflight(req: Request, res: Response): void {
  const headers = commonHeaders(requestId(req));
  headers.push(
    'access-control-allow-methods',
    'GET, POST, DELETE, OPTIONS',
    'access-control-allow-headers',
    req.headers['access-control-request-headers'] ??
      'authorization, content-type, x-cashu, x-cashu-change, x-api-key, x-claim-secret, idempotency-key, x-routstr-model-path',
    'access-control-max-age',
    '86400',
    'vary',
    'access-control-request-headers',
  );
  res.writeHead(204, headers);
  res.end();
}

function mountRefusals(app: Express, log: Logger): void {
  const known = new Map<RegExp, string>([
    ...LIGHTNING_PATHS,
    [/^(?:\/v1)?\/(?:chat\/completions|quote)\/?$/, 'POST'],
    [/^(?:\/v1)?\/(?:balance|wallet)\/(?:topup|refund|child-key(?:\/reset)?)\/?$/, 'POST'],
    [/^(?:\/v1)?\/(?:balance|wallet)\/child-key\/[^/]+\/?$/, 'DELETE'],
    [/^(?:\/v1)?\/(?:balance|wallet)\/create\/?$/, 'GET, POST'],
    [/^(?:\/v1)?\/(?:balance|wallet)(?:\/(?:info|balance|history|transactions))?\/?$/, 'GET'],
    [/^(?:\/v1)?\/(?:ops\/[^/]+|generation)\/?$/, 'GET'],
    [/^(?:\/v1)?\/(?:info|key|providers|models(?:\/.+)?)\/?$/, 'GET'],
    [/^\/(?:(?:livez|readyz|\.well-known\/nostr\.json)\/?)?$/, 'GET'],
  ]);
  app.use((req: Request, res: Response) => {
    const allowed = [...known].find(([pattern]) => pattern.test(req.path))?.[1];
    if (allowed !== undefined) {
      res.setHeader('allow', allowed);
      replyError(res, requestId(req), new NodeError('method_not_allowed', `Use ${allowed} for this path.`));
      return;
    }
    // The path is shown without its query, which may carry a token of an old client.
    const path = req.path.slice(0, 200);
    replyError(res, requestId(req), new NodeError('not_found', `Path '${path}' not found`));
  });
  // Express recognises an error handler by its four parameters.
  app.use((error: unknown, req: Request, res: Response, _next: NextFunction) => {
    const status = (error as { status?: unknown } | null)?.status;
    const refused =
      status === 400 || status === 404
        ? new NodeError(status === 400 ? 'bad_request' : 'not_found', 'The path is not well formed.')
        : toNodeError(error, log, requestId(req));
    replyError(res, requestId(req), refused);
  });
}
