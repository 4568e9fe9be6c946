/** The till over HTTP, at an address behind which nodes come and go. */
import { Pool, type Dispatcher } from 'undici';
import type { ChatWish, PaidTold, Reply, Till, TokenTold } from '../shop/till.ts';

interface Answer {
  status: number;
  change: string | undefined;
  text: string;
}
type Json = Record<string, unknown>;

export interface HttpTill extends Till {
  ready: () => Promise<boolean>;
  /** Operations that are not final; undefined: no answer. */
  executing: () => Promise<number | undefined>;
  close: () => Promise<void>;
}

const WORDS = 'one two three four five six seven eight nine ten eleven twelve thirteen'.split(' ');

export function createHttpTill(url: string, model: string): HttpTill {
  const pool = new Pool(url, { connections: 64, headersTimeout: 60_000, bodyTimeout: 60_000 });

  /** Undefined: no answer, or not all of it. */
  async function ask(path: string, options: Partial<Dispatcher.RequestOptions>): Promise<Answer | undefined> {
    try {
      const { statusCode, headers, body } = await pool.request({ path, method: 'POST', ...options });
      const change = headers['x-cashu'];
      const text = await body.text();
      return { status: statusCode, change: typeof change === 'string' ? change : undefined, text };
    } catch {
      return undefined; // Connections break all the time here: that is what this tool is about.
    }
  }

  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    ask(path, { body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } });
  const bearing = (bearer: string) => ({ authorization: `Bearer ${bearer}` });

  function read<T>(answer: Answer | undefined, onOk: (json: Json) => T): Reply<T> {
    if (answer === undefined) return { kind: 'lost' };
    const json = parse(answer.text);
    if (json === undefined) return { kind: 'lost' };
    return answer.status === 200 ? { kind: 'ok', ...onOk(json) } : refusal(answer, json);
  }

  async function chat(headers: Record<string, string>, wish: ChatWish): Promise<Reply<PaidTold>> {
    const { stream, words, leaves } = wish;
    const body = {
      model,
      stream,
      max_tokens: 16,
      messages: [{ role: 'user', content: WORDS.slice(0, words).join(' ') }],
    };
    if (leaves) return leave(body, headers);
    const answer = await post('/v1/chat/completions', body, headers);
    if (answer === undefined) return { kind: 'lost' };
    if (!stream || answer.status !== 200) return read(answer, (json) => told(json, answer.change));
    if (!answer.text.endsWith('data: [DONE]\n\n') || answer.text.includes('"error"')) return { kind: 'lost' };
    const last = answer.text.trimEnd().split('\n\n').at(-2) ?? '';
    const json = parse(last.slice('data: '.length));
    return json === undefined ? { kind: 'lost' } : { kind: 'ok', ...told(json, answer.change) };
  }

  /** Reads the first bytes and hangs up. */
  async function leave(body: unknown, headers: Record<string, string>): Promise<Reply<PaidTold>> {
    try {
      const { body: answer } = await pool.request({
        path: '/v1/chat/completions',
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
      });
      for await (const _chunk of answer) break;
      answer.destroy();
    } catch {
      return { kind: 'lost' };
    }
    return { kind: 'lost' };
  }

  return {
    create: async (token) =>
      read(await post('/v1/balance/create', { cashu_token: token }), (json) => ({
        key: String(json['api_key']),
        balance: Number(json['balance']),
      })),
    info: async (bearer) =>
      read(await ask('/v1/wallet/info', { method: 'GET', headers: bearing(bearer) }), (json) => ({
        key: String(json['api_key']),
        balance: Number(json['balance']),
        held: Number(json['reserved']),
        spent: Number(json['total_spent']),
      })),
    topUp: async (bearer, token) =>
      read(await post('/v1/balance/topup', { cashu_token: token }, bearing(bearer)), (json) => ({
        credited: Number(json['msats']),
      })),
    chat: (bearer, wish) => chat(bearing(bearer), wish),
    payOnce: (token, wish) =>
      chat({ 'x-cashu': token, ...(wish.claims && { 'x-cashu-change': 'claim' }) }, wish),
    claim: async (token) => read(await post('/v1/wallet/refund', {}, { 'x-cashu': token }), tokenTold),
    refund: async (bearer, { sats, idempotencyKey }) =>
      read(
        await post('/v1/wallet/refund', sats === undefined ? {} : { amount_sats: sats }, {
          ...bearing(bearer),
          ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        }),
        tokenTold,
      ),
    invoice: async ({ sats, bearer }) =>
      read(
        await post(
          '/lightning/invoice',
          { amount_sats: sats, purpose: bearer === undefined ? 'create' : 'topup' },
          bearer === undefined ? {} : bearing(bearer),
        ),
        (json) => ({
          id: String(json['invoice_id']),
          invoice: String(json['bolt11']),
          claimSecret: String(json['claim_secret']),
        }),
      ),
    invoiceStatus: async (id, claimSecret) =>
      read(
        await ask(`/lightning/invoice/${id}/status`, {
          method: 'GET',
          headers: { 'x-claim-secret': claimSecret },
        }),
        (json) => ({
          status: String(json['status']),
          ...(typeof json['api_key'] === 'string' && { key: json['api_key'] }),
        }),
      ),
    remit: async (bearer, { address, sats, idempotencyKey }) =>
      read(
        await post(
          '/v1/wallet/refund',
          { lightning_address: address, ...(sats !== undefined && { amount_sats: sats }) },
          {
            ...bearing(bearer),
            ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
          },
        ),
        (json) => ({ sats: Number(json['sats']), fee: Number(json['fee_msats']) }),
      ),
    ready: async () => (await ask('/readyz', { method: 'GET' }))?.status === 200,
    executing: async () => {
      const answer = await ask('/readyz', { method: 'GET' });
      const count = answer && parse(answer.text)?.['executing_operations'];
      return typeof count === 'number' ? count : undefined;
    },
    close: () => pool.destroy(),
  };
}

const tokenTold = (json: Json): TokenTold => ({ token: String(json['token']), sats: Number(json['sats']) });

function told(json: Json, change: string | undefined): PaidTold {
  const usage = json['usage'] as Json;
  const { routstr } = json['metadata'] as { routstr: Json };
  const inBody = routstr['change'];
  const token = change ?? (typeof inBody === 'string' ? inBody : undefined);
  return {
    cost: Number(usage['cost_msats']),
    ...(token === undefined ? {} : { change: token }),
    ...(typeof routstr['remaining_balance_msats'] === 'number' && {
      balance: routstr['remaining_balance_msats'],
    }),
  };
}

function refusal({ status, change }: Answer, json: Json): Reply<never> {
  const error = (json['error'] ?? {}) as Json;
  return {
    kind: 'refused',
    status,
    code: String(error['code']),
    ...(change === undefined ? {} : { change }),
  };
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined; // Cut off in the middle.
  }
}
