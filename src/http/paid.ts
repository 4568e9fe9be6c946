/** Paid routes: one request in, one answer out, whatever paid for it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { cancel, newCancel } from '../base/cancel.ts';
import { NodeError } from '../base/error.ts';
import type { RequestId } from '../base/id.ts';
import { type Msat, msat } from '../base/money.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Answer, Body, Endpoint, Receipt } from '../gateway/request.ts';
import { readJsonBytes } from './body.ts';
import { heldOf, requestId } from './context.ts';
import { paidCredential } from './credential.ts';
import { idempotencyKey } from './idempotency.ts';
import { NO_STORE, reply } from './reply.ts';
import { sendStream } from './stream.ts';

export function createPaidRoute(parts: { gateway: Gateway; endpoint: Endpoint }) {
  const { gateway, endpoint } = parts;

  return async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const id = requestId(req);
    const credential = paidCredential(req);
    const body = await readJsonBytes(req);
    const gone = newCancel();
    res.on('close', () => {
      if (!res.writableFinished) cancel(gone);
    });
    const claims = req.headers['x-cashu-change'] === 'claim';
    const oneShot = credential?.kind === 'token' && credential.remainder === 'return';

    const answer = await gateway.serve({
      id,
      credential,
      endpoint,
      body,
      delivery: oneShot && !claims ? 'held' : 'live',
      gone,
      idempotencyKey: idempotencyKey(req),
      maxCost: maxCost(req),
      held: heldOf(req),
    });
    if (answer.whole !== undefined) await sendWhole(res, id, answer, answer.whole);
    else await sendStream(res, id, answer);
  };

  async function sendWhole(res: ServerResponse, id: RequestId, answer: Answer, body: Body): Promise<void> {
    const receipt = await answer.receipt;
    const headers = receiptHeaders(receipt);
    if (answer.replayed) headers.push('idempotent-replayed', 'true');
    reply(res, id, answer.status, answer.contentType, body, headers);
  }
}

/** `X-Max-Cost-Msats`: what the client is willing to pay for this one request. Throws invalid_request. */
function maxCost(req: IncomingMessage): Msat | undefined {
  const value = req.headers['x-max-cost-msats'];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^\d{1,15}$/.test(value))
    throw new NodeError('invalid_request', 'X-Max-Cost-Msats must be a whole number of mSats.');
  return msat(Number(value));
}

/** Headers of answers whose cost is known before their first byte. */
function receiptHeaders(receipt: Receipt): string[] {
  const { cost, change, balance } = receipt;
  const headers = [
    ...NO_STORE,
    'x-routstr-cost-msats',
    String(cost.total),
    'x-routstr-input-cost-msats',
    String(msat(cost.input + cost.base)),
    'x-routstr-output-cost-msats',
    String(cost.output),
    'x-routstr-cost-usd',
    String(cost.totalUsd),
  ];
  if (change) headers.push('x-cashu', change.reveal());
  else headers.push('x-balance-msats', String(balance));
  return headers;
}
