/** Where a node that a buyer names is reached over HTTP. */
import { EXIT, ExitError } from './base/error.ts';
import { createLogger } from './base/log.ts';
import { systemClock } from './base/time.ts';
import { buyerDir, pubkeysOf } from './cli-buyer-dir.ts';
import type { CommandContext } from './cli-context.ts';
import { type RelayOptions, relaysToAsk } from './cli-relays.ts';

export interface NodeAddress {
  /** Without `/v1`. */
  url: string;
  /** Set where discovery found the address, and proved it to be this key's. */
  pubkey?: string;
}

/** A URL as it is; for an npub the address that discovery proved to be its own. */
export async function addressOf(
  context: CommandContext,
  options: RelayOptions & { node: string; allowPrivate?: boolean; buyerDir?: string },
): Promise<NodeAddress> {
  const { node, allowPrivate = false } = options;
  if (/^https?:\/\//.test(node) && URL.canParse(node))
    return { url: node.replace(/\/+$/, '').replace(/\/v1$/, '') };
  const [pubkey = ''] = pubkeysOf([node], '--node');
  const log = createLogger({ level: 'error' });
  const dir = buyerDir(context.io, options.buyerDir);
  const [{ discover }, { createMemory }, relays] = await Promise.all([
    import('./client/discover.ts'),
    import('./client/memory.ts'),
    relaysToAsk(context, options),
  ]);
  const memory = dir === undefined ? {} : { memory: createMemory({ dir, log }) };
  const providers = await discover({ relays, ...memory, allowPrivate, clock: systemClock, log });
  const found = providers.find((one) => one.pubkey === pubkey);
  const [url] = found?.bound === true ? found.urls : [];
  if (url !== undefined) return { url, pubkey };
  const hint = found?.dm === undefined ? '' : '; it takes encrypted messages: --dm';
  throw new ExitError(EXIT.notFound, `no proven address of this node was found${hint}`);
}
