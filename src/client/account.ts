/** A buyer's account at a node: balance, top-up by a token, refund as a token, models on sale. */
import { z } from 'zod';
import type { Channel } from './channel.ts';
import { refuse } from './conversation.ts';

export interface BuyerAccount {
  /** Msat; undefined where there is no account yet. */
  balance: () => Promise<number | undefined>;
  /** Msat that were added. Throws Refused; the token stays the buyer's then. */
  topUp: (token: string) => Promise<number>;
  /** A token with all that is there. Throws Refused. */
  refund: () => Promise<string>;
  models: () => Promise<string[]>;
}

const balanceSchema = z.object({ balance: z.number() });
const topUpSchema = z.object({ msats: z.number() });
const refundSchema = z.object({ token: z.string() });
const modelsSchema = z.object({ data: z.array(z.object({ id: z.string() })) });

export function createBuyerAccount(channel: Channel): BuyerAccount {
  const post = async (path: string, body: unknown): Promise<unknown> => {
    const answer = await channel.ask({ method: 'POST', path, body });
    refuse(answer);
    return answer.json;
  };
  return {
    balance: async () => {
      const answer = await channel.ask({ method: 'GET', path: '/v1/wallet/info' });
      if (answer.status === 401 || answer.status === 404) return undefined;
      refuse(answer);
      return balanceSchema.parse(answer.json).balance;
    },
    topUp: async (token) => topUpSchema.parse(await post('/v1/wallet/topup', { cashu_token: token })).msats,
    refund: async () => refundSchema.parse(await post('/v1/wallet/refund', {})).token,
    models: async () => {
      const answer = await channel.ask({ method: 'GET', path: '/v1/models' });
      refuse(answer);
      return modelsSchema.parse(answer.json).data.map(({ id }) => id);
    },
  };
}
