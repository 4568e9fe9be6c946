/** Where the node can be reached, as `doctor` sees it: its listener, its public addresses, the operator pages. */
import { createServer } from 'node:net';
import { EXIT } from './base/error.ts';
import type { Config } from './config.ts';
import { isPrivateHost } from './config-url.ts';
import { type Asked, askOwn, npubIn } from './doctor-ask.ts';
import { type Check, about, spelled } from './doctor-check.ts';
import { listenUrl } from './node-facts.ts';

export interface Place {
  checks: Check[];
  /** A node with this key answers at the configured listener and is ready. */
  serving: boolean;
}

/** @param held whether another process holds the ledger. */
export async function examinePlace(
  config: Config,
  { npub, held }: { npub: string | undefined; held: boolean },
): Promise<Place> {
  const serving = await isServing(config, npub);
  const checks = [
    ...(held ? [ledgerInUse(serving)] : []),
    await listener(config, serving),
    ...reach(config),
    ...(await Promise.all(config.public_urls.map((url) => publicUrl(url, config, { npub, serving })))),
  ];
  return { checks, serving };
}

async function isServing(config: Config, npub: string | undefined): Promise<boolean> {
  if (npub === undefined || config.listen.port === 0) return false;
  const url = listenUrl(config);
  const [info, ready] = await Promise.all([askOwn(`${url}/v1/info`), askOwn(`${url}/readyz`)]);
  return npubIn(info) === npub && ready.outcome === 'answered' && ready.status === 200;
}

function ledgerInUse(serving: boolean): Check {
  const { ok, fail } = about('ledger');
  return serving
    ? ok('the running node holds it; it is verified while that is stopped')
    : fail(
        EXIT.ledgerInUse,
        'another process holds it, and no node with this key is ready at the listener',
        'wait for that command to end, or stop that node',
      );
}

async function listener(config: Config, serving: boolean): Promise<Check> {
  const { host, port } = config.listen;
  const { ok, fail } = about('listener', `${host}:${port}`);
  if (serving) return ok('this node runs here and is ready');
  const code = await bindable(host, port);
  if (code === undefined) return ok('the address is free');
  const taken = code === 'EADDRINUSE';
  return fail(
    EXIT.unavailable,
    taken ? 'another program listens there' : `this machine cannot listen there (${code})`,
    taken ? 'stop that program, or change listen.port' : 'change listen.host or listen.port',
  );
}

/** The reason why not, as a code of the system. */
function bindable(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

/** Who can reach the listener without the reverse proxy, and what they would find there. */
function reach({ listen, admin, public_urls: urls }: Config): Check[] {
  const { ok, warn } = about('admin');
  const open = !/^(localhost$|127\.|::1$)/.test(listen.host);
  const checks = [
    admin.public
      ? warn(
          'admin.public is true: the listener that buyers use may offer the operator pages too',
          'set admin.public: false, unless a proxy in front keeps strangers away from them',
        )
      : ok('admin.public is false: the listener that buyers use offers no operator page'),
  ];
  const network = about('listener', `${listen.host}:${listen.port}`);
  const published = urls.some((url) => !isPrivateHost(new URL(url).hostname));
  if (open && !listen.trust_proxy)
    checks.push(
      network.warn(
        'other machines can reach it in plain http',
        'listen on 127.0.0.1 behind a proxy with TLS; in a container set listen.trust_proxy',
      ),
    );
  else if (published && !listen.trust_proxy)
    checks.push(
      network.warn(
        'all buyers have the address of your proxy, so the junk of one counts for all',
        'let the proxy set X-Forwarded-For and set listen.trust_proxy: true',
      ),
    );
  return checks;
}

async function publicUrl(
  url: string,
  config: Config,
  node: { npub: string | undefined; serving: boolean },
): Promise<Check> {
  const { ok, warn, fail } = about('public_url', url);
  if (new URL(url).hostname.endsWith('.onion')) return ok('an onion address, which is not asked without Tor');
  const asked = await askOwn(`${url}/v1/info`);
  const owner = npubIn(asked);
  if (owner !== undefined && owner === node.npub) return ok('answers with the key of this node');
  if (owner !== undefined)
    return fail(
      EXIT.error,
      'belongs to a node with another key',
      'correct public_urls or the proxy behind it',
    );
  if (node.serving)
    return fail(
      EXIT.unreachable,
      `the node runs, but is not found there: ${whyNot(asked)}`,
      'point the proxy to the listener and ask again',
    );
  if (asked.outcome === 'answered')
    return ok(`status ${asked.status} comes from there, as from a proxy whose node is not running`);
  if (url === listenUrl(config)) return ok('is the listener itself, which answers once the node runs');
  const lost = asked.code === 'ENOTFOUND' || /CERT|UNABLE|SELF|ERR_TLS/.test(asked.code ?? '');
  return lost
    ? fail(
        EXIT.unreachable,
        spelled(asked.code),
        'repair the DNS entry or the certificate: buyers cannot get through',
      )
    : warn(
        spelled(asked.code),
        'start the proxy in front of the node, and run doctor again while the node runs',
      );
}

const whyNot = (asked: Asked): string =>
  asked.outcome === 'failed' ? spelled(asked.code) : `status ${asked.status} instead of the answer of a node`;
