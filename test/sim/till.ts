/** The till straight into a simulated node's gateway; whatever its process was doing when it died has no answer. */
import { cancel, newCancel } from '../../src/base/cancel.ts';
import { NodeError } from '../../src/base/error.ts';
import type { RequestId } from '../../src/base/id.ts';
import { Secret } from '../../src/base/secret.ts';
import { looksLikeToken } from '../../src/base/token-text.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import type { PaidOut } from '../../src/gateway/payout.ts';
import type { Answer, Credential, InferenceRequest, Receipt } from '../../src/gateway/request.ts';
import type { ChatWish, PaidTold, Reply, Till, TokenTold } from '../shop/till.ts';
import type { VirtualTime } from './time.ts';
import { SIM_MODEL } from './upstream.ts';

export interface Line {
  gateway: Gateway;
  /** Resolves when the process dies. */
  death: Promise<void>;
}

const WORDS = 'one two three four five six seven eight nine ten eleven twelve thirteen'.split(' ');

export function createSimTill(parts: {
  time: VirtualTime;
  random: () => number;
  /** The process that answers now; undefined while none does. */
  line: () => Line | undefined;
  /** True if this answer does not reach its client. */
  drops: () => boolean;
  /** An error that no node should throw. */
  onBroken: (what: string) => void;
}): Till {
  const { time, random, line, drops, onBroken } = parts;
  let requests = 0;

  function reply<T>(work: Promise<T>): Promise<Reply<T>> {
    return work.then(
      (value): Reply<T> => ({ kind: 'ok', ...value }),
      (thrown: unknown): Reply<T> => {
        const error = firstOf(thrown);
        if (error instanceof Lost) return { kind: 'lost' };
        if (error instanceof NodeError) {
          const { change } = error.options;
          return {
            kind: 'refused',
            status: error.status,
            code: error.code,
            ...(change && { change: change.reveal() }),
          };
        }
        onBroken(error instanceof Error ? (error.stack ?? error.message) : 'unknown');
        return { kind: 'refused', status: 500, code: 'internal_error' };
      },
    );
  }

  async function call<T>(work: (gateway: Gateway) => Promise<T>): Promise<Reply<T>> {
    await time.sleep(1 + random() * 4);
    const at = line();
    if (at === undefined) return { kind: 'lost' };
    let answer: Reply<T> = { kind: 'lost' };
    let died = false;
    const lost = at.death.then(() => {
      died = true;
    });
    await Promise.race([lost, reply(work(at.gateway)).then((value) => (answer = value))]);
    if (died) return { kind: 'lost' };
    await Promise.race([lost, time.sleep(1 + random() * 4)]);
    return died || drops() ? { kind: 'lost' } : answer;
  }

  const credentialOf = (bearer: string): Credential =>
    looksLikeToken(bearer)
      ? { kind: 'token', token: new Secret(bearer), remainder: 'keep' }
      : { kind: 'key', key: new Secret(bearer) };

  function chat(credential: Credential, wish: ChatWish): Promise<Reply<PaidTold>> {
    return call(async (gateway) => {
      const oneShot = credential.kind === 'token' && credential.remainder === 'return';
      const gone = newCancel();
      const body = {
        model: SIM_MODEL,
        stream: wish.stream,
        max_tokens: 16,
        messages: [{ role: 'user', content: WORDS.slice(0, wish.words).join(' ') }],
      };
      const request: InferenceRequest = {
        id: `req_${++requests}` as RequestId,
        credential,
        endpoint: 'chat/completions',
        body: Buffer.from(JSON.stringify(body)),
        delivery: oneShot && wish.claims !== true ? 'held' : 'live',
        gone,
      };
      await using answer = await gateway.serve(request);
      if (answer.whole) return told(await answer.receipt);
      await readAll(answer, wish.leaves ? () => cancel(gone) : undefined);
      return told(await answer.receipt);
    });
  }

  return {
    create: (token) =>
      call(async ({ accounts }) => {
        const { apiKey, balance } = await accounts.create(new Secret(token), {});
        return { key: apiKey.reveal(), balance };
      }),
    info: (bearer) =>
      call(async ({ accounts }) => {
        const { account, apiKey } = await accounts.info(credentialOf(bearer));
        const { available, held, totalSpent } = account;
        return { key: apiKey.reveal(), balance: available, held, spent: totalSpent };
      }),
    topUp: (bearer, token) =>
      call(async ({ accounts }) => {
        const { credited } = await accounts.topUp(credentialOf(bearer), new Secret(token));
        return { credited };
      }),
    chat: (bearer, wish) => chat(credentialOf(bearer), wish),
    payOnce: (token, wish) => chat({ kind: 'token', token: new Secret(token), remainder: 'return' }, wish),
    claim: (token) => call(async ({ accounts }) => tokenTold(await accounts.claimChange(new Secret(token)))),
    refund: (bearer, { sats, idempotencyKey }) =>
      call(async ({ accounts }) =>
        tokenTold(
          await accounts.refund(
            credentialOf(bearer),
            sats,
            idempotencyKey === undefined ? undefined : { key: idempotencyKey, request: `refund ${sats}` },
          ),
        ),
      ),
    invoice: ({ sats, bearer }) =>
      call(async ({ lightning }) => {
        const to = bearer === undefined ? undefined : credentialOf(bearer);
        const request: Parameters<typeof lightning.invoice>[0] = {
          amountSats: sats,
          terms: {},
          ...(to?.kind === 'key' && { to }),
        };
        const { id, invoice, claimSecret } = await lightning.invoice(request);
        return { id, invoice, claimSecret: claimSecret?.reveal() ?? '' };
      }),
    invoiceStatus: (id, claimSecret) =>
      call(async ({ lightning }) => {
        const { status, apiKey } = await lightning.status(id, { claimSecret: new Secret(claimSecret) });
        return { status, ...(apiKey && { key: apiKey.reveal() }) };
      }),
    remit: (bearer, { address, sats, idempotencyKey }) =>
      call(async ({ accounts, lightning }) => {
        const account = await accounts.refundable(credentialOf(bearer));
        const given =
          idempotencyKey === undefined
            ? undefined
            : { key: idempotencyKey, request: `refund ${sats} to ${address}` };
        const sent = await lightning.refundTo(account, { address, amountSats: sats }, given);
        if (sent === undefined) throw new Error('a refund to an address became a token');
        const { amount, spent } = sent.operation;
        return { sats: amount, fee: (spent ?? NaN) - amount * 1000 };
      }),
  };
}

/** Thrown for what a client would see as a connection that broke. */
class Lost extends Error {}
/** Giving an answer up may fail as well, and then hides what happened first. */
const firstOf = (error: unknown): unknown => {
  const { suppressed } = (error ?? {}) as { suppressed?: unknown };
  return suppressed === undefined ? error : firstOf(suppressed);
};

async function readAll(answer: Answer, leave: (() => void) | undefined): Promise<void> {
  let text = '';
  for await (const chunk of answer.chunks) {
    text += chunk.toString();
    if (leave === undefined) continue;
    leave();
    throw new Lost();
  }
  if (!text.endsWith('data: [DONE]\n\n') || text.includes('"error"')) throw new Lost();
}

const told = ({ cost, balance, change }: Receipt): PaidTold => ({
  cost: cost.total,
  balance,
  ...(change && { change: change.reveal() }),
});
const tokenTold = ({ token, amount }: PaidOut): TokenTold => ({ token: token.reveal(), sats: amount });
