/** The part of the demo without HTTP: the buyer pays and asks over encrypted direct messages only. */
import { silentLogger } from './base/log.ts';
import { systemClock } from './base/time.ts';
import { createBuyerAccount } from './client/account.ts';
import { createDmChannel } from './client/channel.ts';
import { createConversation } from './client/conversation.ts';
import { createDmClient } from './client/dm.ts';
import type { Provider } from './client/provider.ts';
import type { PaidStep } from './demo/buyer.ts';
import { generateNsec, nodeKey } from './relay/key.ts';
import type { RelayConfig } from './relay/relay.ts';
import { createRelaySet } from './relay/set.ts';

/** A new key, which is the account; a token for it; one question. Nothing here knows an address of the node. */
export async function payByMessage(options: {
  relays: readonly RelayConfig[];
  provider: Pick<Provider, 'pubkey' | 'dm'>;
  model: string;
  question: string;
  token: string;
}): Promise<PaidStep> {
  const { relays, provider, model, question, token } = options;
  const key = nodeKey(generateNsec());
  const set = createRelaySet({ relays, key, clock: systemClock, log: silentLogger });
  const client = createDmClient({
    relays: set,
    key,
    peer: provider.pubkey,
    announced: (provider.dm ?? []).map(({ url }) => url),
    clock: systemClock,
  });
  try {
    const channel = createDmChannel(client);
    const account = createBuyerAccount(channel);
    const before = await account.topUp(token);
    const { text, cost = -1 } = await createConversation({ channel, model }).say(question, () => undefined);
    return {
      how: 'dm',
      cost_msats: cost,
      balance_before_msats: before,
      balance_after_msats: (await account.balance()) ?? -1,
      change_sats: 0,
      text,
    };
  } finally {
    client.close();
    await set.close();
  }
}
