/** Messages of NUT-17 (JSON-RPC over a WebSocket), as far as a hint about a quote needs them. */
import { z } from 'zod';

/** What a mint can be asked to tell of. */
const HINT_KINDS = ['bolt11_mint_quote', 'bolt11_melt_quote'] as const;
export type HintKind = (typeof HINT_KINDS)[number];

const info = z.object({
  nuts: z.object({
    17: z.object({
      supported: z.array(
        z.object({ method: z.string(), unit: z.string(), commands: z.array(z.string()) }).partial(),
      ),
    }),
  }),
});

/** The kinds that a mint offers for one of the units, out of its answer to `/v1/info` (NUT-06). */
export function readHintKinds(body: unknown, units: readonly string[]): ReadonlySet<HintKind> {
  const supported = info.safeParse(body).data?.nuts[17].supported ?? [];
  const commands = supported
    .filter(({ method, unit = '' }) => method === 'bolt11' && units.includes(unit))
    .flatMap((entry) => entry.commands ?? []);
  return new Set(HINT_KINDS.filter((kind) => commands.includes(kind)));
}

const notice = z.object({
  method: z.literal('subscribe'),
  params: z.object({
    subId: z.string(),
    payload: z.object({ state: z.string().optional().catch(undefined) }),
  }),
});

/** Which subscription a message is about and the state it names. Undefined: a confirmation, an error, or nonsense. */
export function readNotice(text: string): { subId: string; state: string | undefined } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // Not listened to, like everything else that is no notice.
  }
  const { data } = notice.safeParse(value);
  return data && { subId: data.params.subId, state: data.params.payload.state };
}

export const subscribeText = (id: number, kind: HintKind, subId: string, quote: string): string =>
  JSON.stringify({ jsonrpc: '2.0', method: 'subscribe', params: { kind, subId, filters: [quote] }, id });

export const unsubscribeText = (id: number, subId: string): string =>
  JSON.stringify({ jsonrpc: '2.0', method: 'unsubscribe', params: { subId }, id });
