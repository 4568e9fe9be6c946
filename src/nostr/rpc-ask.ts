/** What a dmi/1 request becomes as HTTP, and what its answer becomes as frames. */
import { NodeError } from '../base/error.ts';
import type { RequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { ErrorFrame, NodeFrame, RequestFrame } from '../protocol/dmi.ts';
import { packBody } from '../protocol/dmi-body.ts';

/** HTTP of this node without a network, in the name of a public key; the composition root hands it in. */
export type Ask = (request: {
  id: RequestId;
  method: string;
  path: string;
  headers: Readonly<Record<string, string>>;
  body: Buffer;
  sender: string;
  /** Told the msat that are set aside for a paid request, before it is worked on. */
  held?: (msat: number) => void;
  signal: AbortSignal;
}) => Promise<HttpAnswer>;

export interface HttpAnswer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: AsyncIterable<Buffer>;
}

/** A complete answer. */
export interface Whole {
  status: number;
  headers: HttpAnswer['headers'];
  bytes: Buffer;
}

/** Everything else a client could say about itself is said by its seal or by `auth`. */
const REQUEST_HEADERS = new Set([
  'accept',
  'content-type',
  'anthropic-version',
  'if-none-match',
  'x-claim-secret',
  'key-expiry-time',
  'refund-lnurl',
]);
const ANSWER_HEADERS = ['content-type', 'x-request-id', 'retry-after', 'etag', 'idempotent-replayed'];

/** @param key becomes the Idempotency-Key, so that the ledger itself knows of a request that is repeated. */
export function headersOf(frame: RequestFrame, key: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(frame.h ?? {})) {
    const lower = name.toLowerCase();
    if (REQUEST_HEADERS.has(lower) && /^[\x20-\x7e]*$/.test(value)) headers[lower] = value;
  }
  const hasBody = frame.body !== undefined || frame.z !== undefined || frame.parts !== undefined;
  if (hasBody) headers['content-type'] ??= 'application/json';
  if (frame.auth !== undefined && 'bearer' in frame.auth)
    headers['authorization'] = `Bearer ${frame.auth.bearer}`;
  if (frame.auth !== undefined && 'cashu' in frame.auth) headers['x-cashu'] = frame.auth.cashu;
  if (frame.method !== 'GET') headers['idempotency-key'] = `dmi:${key}`;
  if (frame.max_msat !== undefined) headers['x-max-cost-msats'] = String(frame.max_msat);
  return headers;
}

const INFERENCE =
  /^(?:\/v1)?\/(?:chat|completions|embeddings|responses|messages|moderations|rerank|images|audio)\b/;
const VALUE =
  /^(?:\/v1)?\/(?:(?:balance|wallet)\/(?:create|refund|child-key)|(?:v2\/|v1\/)?lightning\/|(?:balance|wallet)\/lightning\/)/;

/** Paid: runs once and is looked up afterwards. All else may be asked again with the same Idempotency-Key. */
export const isPaid = ({ method, path }: RequestFrame): boolean => method === 'POST' && INFERENCE.test(path);

/** Its answer can carry a token or a key, which must not be lost with a wrap that nobody kept. */
export const hasValue = ({ auth, method, path }: RequestFrame): boolean =>
  (auth !== undefined && 'cashu' in auth) || (method === 'POST' ? VALUE.test(path) : /\/create\b/.test(path));

/** Reads an answer to its end; RangeError where it is larger than messages carry. */
export async function readWhole(answer: HttpAnswer): Promise<Whole> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of answer.body) {
    length += part.length;
    if (length > LIMITS.dmi.bodyBytesMax)
      throw new RangeError('the answer is larger than direct messages carry');
    parts.push(part);
  }
  return { status: answer.status, headers: answer.headers, bytes: Buffer.concat(parts) };
}

const text = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined;
const whole = (value: string | undefined): number | undefined =>
  value !== undefined && /^\d{1,16}$/.test(value) ? Number(value) : undefined;

/** Msat that the answer says it cost; undefined where it does not say. */
export const costOf = ({ headers }: Pick<Whole, 'headers'>): number | undefined =>
  whole(text(headers['x-routstr-cost-msats']));
export const changeOf = ({ headers }: Pick<Whole, 'headers'>): string | undefined => {
  const token = text(headers['x-cashu']);
  // A request for payment stands in the same header.
  return token !== undefined && /^cashu/i.test(token) ? token : undefined;
};

/** A result, and the parts of its body. What carries value is a result whatever its status. */
export async function answerFrames(id: string, answer: Whole, costMsat: number): Promise<NodeFrame[]> {
  const change = changeOf(answer);
  if (answer.status >= 400 && change === undefined) return [await errorFrame(id, answer, costMsat)];
  // A token that does not fit is claimed with its original: POST /v1/balance/refund, whose body may come in parts.
  const fits = change !== undefined && change.length <= LIMITS.dmi.bodyCharsInFrame;
  const inFrame = LIMITS.dmi.bodyCharsInFrame - (fits ? change.length : 0);
  const { fields, parts } = await packBody(answer.bytes, { inFrame });
  const balance = whole(text(answer.headers['x-balance-msats']));
  const usage = usageOf(answer);
  const h = Object.fromEntries(
    ANSWER_HEADERS.flatMap((name) => {
      const value = text(answer.headers[name]);
      return value === undefined ? [] : [[name, value.slice(0, 1_024)]];
    }),
  );
  return [
    {
      t: 'res',
      id,
      status: answer.status,
      h,
      ...fields,
      cost_msat: costMsat,
      ...(balance !== undefined && { bal_msat: balance }),
      ...(usage !== undefined && { usage }),
      ...(fits && { change }),
    },
    ...parts.map((part) => ({ ...part, id })),
  ];
}

interface Envelope {
  error?: { message?: unknown; code?: unknown; metadata?: Record<string, unknown> };
}

async function errorFrame(id: string, answer: Whole, costMsat: number): Promise<ErrorFrame> {
  const { error } = (jsonOf(answer.bytes) ?? {}) as Envelope;
  const { metadata = {} } = error ?? {};
  const need = metadata['required_msats'];
  const mints = metadata['accepted_mints'];
  const wait = whole(text(answer.headers['retry-after']));
  const { fields } = await packBody(
    answer.bytes.length <= LIMITS.upstream.errorBytesMax ? answer.bytes : Buffer.alloc(0),
  );
  return {
    t: 'err',
    id,
    status: answer.status,
    code: typeof error?.code === 'string' ? error.code.slice(0, 64) : 'internal_error',
    message: typeof error?.message === 'string' ? error.message.slice(0, 2_000) : 'The request failed.',
    ...(typeof need === 'number' && { need_msat: need }),
    ...(typeof need === 'number' &&
      Array.isArray(mints) && {
        pay: {
          mints: mints.filter((url) => typeof url === 'string').slice(0, 64),
          unit: 'msat',
          amount: need,
        },
      }),
    ...(wait !== undefined && { retry_after: wait }),
    ...(costMsat > 0 && { cost_msat: costMsat }),
    ...(fields.parts === undefined && fields),
  };
}

function usageOf({ bytes, headers }: Whole): Record<string, unknown> | undefined {
  if (headers['x-routstr-cost-msats'] === undefined) return undefined;
  return usageIn(jsonOf(bytes));
}

/** Undefined where there is none, or more than a frame has room for. */
export function usageIn(json: Record<string, unknown> | undefined): Record<string, unknown> | undefined {
  const usage = json?.['usage'];
  if (typeof usage !== 'object' || usage === null) return undefined;
  const fits = Buffer.byteLength(JSON.stringify(usage)) <= LIMITS.dmi.usageBytesMax;
  return fits ? (usage as Record<string, unknown>) : undefined;
}

export function jsonOf(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** A refusal of this protocol, in the words that its clients know. */
export const refusal = (
  id: string,
  status: number,
  code: string,
  message: string,
  more: Partial<ErrorFrame> = {},
): ErrorFrame => ({
  t: 'err',
  id,
  status,
  code,
  message,
  ...more,
});

/** What was thrown before there was an answer. */
export const refusalOf = (id: string, error: NodeError): ErrorFrame =>
  refusal(id, error.status, error.wireCode, error.message);
