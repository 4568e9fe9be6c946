/** The composition root: every part of a node is built here, once, and started and stopped in order. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EXIT, ExitError } from './base/error.ts';
import type { Logger } from './base/log.ts';
import { msat } from './base/money.ts';
import { type Clock, systemClock } from './base/time.ts';
import type { Config } from './config.ts';
import { type Gateway, createGateway } from './gateway/gateway.ts';
import { createHttpFace } from './http/app.ts';
import { createSignedRequests } from './http/signed.ts';
import type { Ledger, LedgerHealth, Totals } from './ledger/ledger.ts';
import { openLedger } from './ledger/level.ts';
import { drain } from './node-drain.ts';
import { type NodeSecrets, checkSeed, ledgerDir, mirrorDir, readNodeSecrets } from './node-data.ts';
import type { DirectMessages } from './node-dm.ts';
import { nodeInfo, nostrNames } from './node-facts.ts';
import type { NostrSide } from './node-nostr.ts';
import { type Shop, createShop } from './node-shop.ts';
import { walletOf } from './node-wallet.ts';
import { verifyEvent } from './relay/event.ts';
import { loadFastSchnorr } from './relay/schnorr.ts';
import { RELEASED_AT } from './version.ts';
import type { Wallet } from './wallet/wallet.ts';

export { initNode } from './node-data.ts';

export interface RunningNode {
  /** Opens the ledger, recovers, listens, announces. Throws ExitError with its exit code. */
  start: () => Promise<void>;
  /** Finishes what runs, withdraws the announcement, closes. A second call during the first hurries it. */
  stop: () => Promise<void>;
  /** Base URL of the listener, without /v1; known after `start`. */
  readonly url: string;
  readonly npub: string;
  /** The books, for audits in the same process. */
  totals: () => Totals;
  /** Relays that took the announcement. */
  announced: () => number;
  /** What became of direct messages; undefined where none are served. */
  messages: () => ReturnType<DirectMessages['counts']> | undefined;
}

interface Parts {
  secrets: NodeSecrets;
  ledger: Ledger;
  wallet: Wallet;
  shop: Shop;
  gateway: Gateway;
  server: Server;
}

/** Decorates a port as it is built. Only tests pass one, to fail or to die before and after any of its calls. */
export type Around = <Port extends object>(
  name: 'ledger' | 'wallet' | 'upstream' | 'gateway',
  port: Port,
) => Port;

export function createNode(
  config: Config,
  options: { log: Logger; clock?: Clock; around?: Around },
): RunningNode {
  const { log, clock = systemClock, around = (_name, port) => port } = options;
  let parts: Parts | undefined;
  /** Undefined until HTTP is served, and where there are no relays. */
  let nostr: NostrSide | undefined;
  let url = '';
  let npub = '';
  let draining = false;
  let stopping: Promise<void> | undefined;
  const hurry = new AbortController();

  const running = (): Parts => {
    if (!parts) throw new Error('the node is not running');
    return parts;
  };

  async function start(): Promise<void> {
    // Validity dates, announcements and the books would all carry the wrong time.
    if (clock.now() < RELEASED_AT) {
      throw new ExitError(
        EXIT.refused,
        'the clock of this machine is wrong: it shows a time before this release',
      );
    }
    const secrets = await readNodeSecrets(config);
    npub = secrets.key.npub;
    const ledger = around(
      'ledger',
      await openLedger({ dir: ledgerDir(config), mirror: mirrorDir(config), clock, log }),
    );
    await checkSeed(ledger, secrets).catch(async (error: unknown) => {
      await ledger.close();
      throw error;
    });
    const wallet = around('wallet', await walletOf(config, secrets, ledger, { clock, log }));
    const shop = createShop(config, { clock, log, around: (upstream) => around('upstream', upstream) });
    const { catalogue, rate } = shop;
    const gateway = around(
      'gateway',
      createGateway({ ledger, wallet, catalogue, rate, secrets, ...gatewayRules(config), clock, log }),
    );
    const server = createHttpFace({
      gateway,
      signed: createSignedRequests({ verify: verifyEvent, publicUrls: config.public_urls, clock }),
      log,
      trustProxy: config.listen.trust_proxy,
      facts: {
        info: () => nodeInfo(config, { npub, wallet }),
        models: () => ({ bytes: shop.catalogue.listBytes(), etag: shop.catalogue.etag() }),
        model: (id) => shop.catalogue.model(id),
        providers: async () => (await nostr?.directory.list()) ?? [],
        address: () => config.public_urls[0] ?? url,
        nostrNames: () => nostrNames(config, secrets.key.pubkey),
        readiness: () => readiness(),
      },
    });
    parts = { secrets, ledger, wallet, shop, gateway, server };

    // A mint that is away must not keep the node from serving keys: its keysets are loaded when it is back.
    void wallet.start();
    const resumed = gateway.start();
    await shop.start();
    url = await listen(server, config);
    server.maxConnections = config.limits.max_connections;
    log.info('node.server.listening', { url, npub, resumed });
    void loadFastSchnorr();
    if (config.relayList.length === 0) return;
    // Relays that are away, and the loading of all that speaks to them, must not keep buyers with a URL out.
    const { createNostrSide } = await import('./node-nostr.ts');
    if (draining) return;
    nostr = createNostrSide({ config, secrets, ledger, gateway, shop, server, clock, log });
    await nostr.start();
  }

  function readiness() {
    const health = parts?.ledger.health();
    const mints = parts?.wallet.mints() ?? [];
    return {
      ready: health?.open === true && !health.poisoned && !draining,
      draining,
      ledger: ledgerState(health),
      sequence: health?.sequence ?? 0,
      executing_operations: health?.executing ?? 0,
      blocked_operations: health?.blocked ?? 0,
      mints: { reachable: mints.filter((mint) => mint.reachable).length, total: mints.length },
      models: parts?.shop.catalogue.models().length ?? 0,
      relays: {
        open: nostr?.relays.status().filter(({ state }) => state === 'open').length ?? 0,
        total: config.relayList.length,
        // Two nodes with one key overwrite each other's announcement and answer the same messages.
        key_used_elsewhere: nostr?.announcer?.rival() !== undefined,
      },
    };
  }

  /** The start list backwards. Answers under way get `drain_seconds`, then they are ended and settled. */
  async function shutDown(): Promise<void> {
    if (!parts) return;
    const { gateway, server, shop, wallet, ledger } = parts;
    const { announcer, dm, relays } = nostr ?? {};
    draining = true;
    await announcer?.stop({ tombstone: true });
    await drain({
      server,
      gateway,
      shop,
      messages: dm?.drain(),
      deadline: { ms: config.limits.drain_seconds * 1000, hurry: hurry.signal },
      clock,
    });
    await dm?.close();
    await gateway.close();
    await Promise.all([relays?.close(), shop.close(), wallet.close()]);
    await ledger.close();
    log.info('node.server.stopped', {});
  }

  return {
    start: async () => {
      try {
        await start();
      } catch (error) {
        await parts?.ledger.close();
        await Promise.allSettled([
          nostr?.relays.close(),
          parts?.shop.close(),
          parts?.wallet.close(),
          parts?.gateway.close(),
        ]);
        throw error;
      }
    },
    stop: () => {
      if (stopping) hurry.abort();
      return (stopping ??= shutDown());
    },
    get url() {
      return url;
    },
    get npub() {
      return npub;
    },
    totals: () => running().ledger.totals(),
    announced: () => nostr?.announcer?.report()?.accepted ?? 0,
    messages: () => nostr?.dm?.counts(),
  };
}

function ledgerState(health: LedgerHealth | undefined): string {
  if (health?.recovering) return 'recovering';
  if (health?.poisoned) return 'poisoned';
  return health?.open ? 'open' : 'closed';
}

async function listen(server: Server, config: Config): Promise<string> {
  const { host, port } = config.listen;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new ExitError(EXIT.unavailable, `cannot listen on ${host}:${port} (${error.code ?? 'error'})`, error),
      ),
    );
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  const anywhere: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const name = anywhere[address.address] ?? address.address;
  return `http://${name.includes(':') ? `[${name}]` : name}:${address.port}`;
}

const gatewayRules = ({ payout, limits, pricing }: Config) => ({
  payout: payout && { lightningAddress: payout.lightning_address, thresholdSats: payout.threshold_sats },
  limits: {
    requestsPerMinute: limits.requests_per_minute,
    identicalRequests: limits.identical_requests,
  },
  childKeyCost: msat(pricing.child_key_cost_msats),
});
