/** What a node says about itself: the body of /v1/info and the announcement, from the same configuration. */
import { msat } from './base/money.ts';
import type { Config } from './config.ts';
import type { Shop } from './node-shop.ts';
import type { Announcement } from './protocol/announcement.ts';
import { KIND } from './protocol/kinds.ts';
import type { NodeKey } from './relay/relay.ts';
import { nip05Document } from './protocol/identity.ts';
import { VERSION } from './version.ts';
import type { Wallet } from './wallet/wallet.ts';

/** Body of /v1/info: Routstr's keys, then ours. */
export function nodeInfo(config: Config, node: { npub: string; wallet: Wallet }): Record<string, unknown> {
  const { http, onion } = addresses(config);
  return {
    name: config.name,
    description: config.about,
    version: VERSION,
    npub: node.npub,
    mints: [...new Set(config.mints.map((mint) => mint.url))],
    http_url: http ?? '',
    onion_url: onion ?? '',
    child_key_cost_msats: config.pricing.child_key_cost_msats,
    contact: config.contact,
    ...(dmRelays(config).length === 0
      ? {}
      : { dm: { relays: dmRelays(config).map(({ url }) => url), protocol: DM_PROTOCOL } }),
    units: config.mints.map(({ url, unit }) => ({ mint: url, unit })),
    policies: {
      cost_rounding: 'up once per request, in msat',
      mint_input_fee: 'paid by the presenter of a token',
      disconnect: 'what was produced is charged; nothing produced costs nothing',
      change: 'header X-Cashu, or live with X-Cashu-Change: claim',
    },
    mint_status: node.wallet.mints().map(({ url, unit, reachable, inputFeePpk }) => ({
      mint: url,
      unit,
      reachable,
      input_fee_ppk: inputFeePpk ?? null,
    })),
  };
}

/** The announcement of the moment. */
export function describeNode(config: Config, node: { key: NodeKey; shop: Shop }): Announcement {
  const { email, npub, website } = config.contact;
  return {
    d: config.announce.id ?? node.key.pubkey.slice(0, 12),
    status: 'online',
    urls: config.public_urls,
    mints: config.mints.map(({ url, unit }) => ({ url, unit })),
    version: VERSION,
    name: config.name,
    about: config.about,
    heartbeatSeconds: config.announce.heartbeat_seconds,
    models: node.shop.catalogue.announced(),
    requestMsat: msat(config.pricing.request_fee_msats),
    minimumMsat: msat(config.pricing.minimum_charge_msats),
    contact: [
      ...(npub === undefined ? [] : [`nostr:${npub}`]),
      ...(email === undefined ? [] : [`mailto:${email}`]),
      ...(website === undefined ? [] : [website]),
    ],
    pmi: ['bitcoin-cashu', 'bitcoin-lightning-bolt11'],
    ...(dmRelays(config).length === 0
      ? {}
      : {
          relays: dmRelays(config),
          rpc: [DM_PROTOCOL, 'nip59', String(KIND.ephemeralWrap), String(KIND.wrap)],
        }),
  };
}

/** Frames of this version inside gift wraps. */
const DM_PROTOCOL = 'dmi/1';

/** Relays on which this node reads messages; `rpc` means that streams are welcome there. */
export const dmRelays = ({ dm, relayList }: Config): { url: string; use: 'rpc' | 'dm' }[] =>
  !dm.enabled
    ? []
    : relayList
        .filter(({ roles }) => roles.includes('dm') || roles.includes('rpc'))
        .map(({ url, roles }) => ({ url, use: roles.includes('rpc') ? 'rpc' : 'dm' }));

/** Body of /.well-known/nostr.json (NIP-05): the node is `_` at its own address. */
export const nostrNames = (config: Config, pubkey: string): Record<string, unknown> =>
  nip05Document(
    pubkey,
    config.relayList.filter(({ roles }) => roles.some((role) => role !== 'index')).map(({ url }) => url),
  );

/** Without an address or a relay for messages there is nothing that a buyer could use. */
export const isAnnounced = (config: Config): boolean =>
  config.announce.enabled &&
  config.relayList.some(({ roles }) => roles.includes('announce')) &&
  (config.public_urls.length > 0 || dmRelays(config).length > 0);

function addresses(config: Config): { http: string | undefined; onion: string | undefined } {
  const isOnion = (url: string): boolean => /^https?:\/\/[^/:]+\.onion(?::|\/|$)/.test(url);
  return {
    http: config.public_urls.find((url) => !isOnion(url)),
    onion: config.public_urls.find(isOnion),
  };
}

/** Where this machine reaches the configured listener. */
export function listenUrl({ listen }: Pick<Config, 'listen'>): string {
  const anywhere: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const host = anywhere[listen.host] ?? listen.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${listen.port}`;
}
