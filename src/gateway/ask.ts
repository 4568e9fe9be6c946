/** Ask: the offers of a model in their order; each holds, asks its upstream and settles, until one answers. */
import { type Cancel, cancel, newCancel, offCancel, onCancel } from '../base/cancel.ts';
import { NodeError } from '../base/error.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../base/time.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { type CeilingRequest, mostUsage } from '../pricing/ceiling.ts';
import type { RateSource } from '../pricing/rate.ts';
import type { ChatRequestFacts } from '../protocol/chat-request.ts';
import type { PricedOffer } from '../upstream/catalogue.ts';
import type { UpstreamAnswer } from '../upstream/upstream.ts';
import type { Accounts } from './account.ts';
import type { Holds } from './holds.ts';
import { storedAnswer } from './outcomes.ts';
import type { Answer, InferenceRequest, Payer, Receipt } from './request.ts';
import { createSettlement } from './settlement.ts';
import { type Drains, heldStream, streamAnswer } from './stream-answer.ts';
import { wholeAnswer } from './whole-answer.ts';

export interface AskParts {
  ledger: Ledger;
  rate: RateSource;
  holds: Holds;
  accounts: Accounts;
  drains: Drains;
  clock: Clock;
  log: Logger;
}

/** Tries the offers in order; a failure before the first byte costs nothing and leads to the next. */
export function ask(
  parts: AskParts,
  request: InferenceRequest,
  facts: ChatRequestFacts,
  offers: readonly PricedOffer[],
  payer: Payer,
  index = 0,
): Promise<Answer> {
  const offer = offers[index] as PricedOffer;
  const answer = askOne(parts, request, facts, offer, payer, `${request.id}:${index}`);
  if (index === offers.length - 1) return answer;
  return answer.catch((error: unknown) => {
    if (request.gone.cancelled || !(error instanceof NodeError) || !isTheirFault(error)) throw error;
    const { id } = offer.upstream;
    parts.log.warn('gateway.upstream.failed', { request_id: request.id, upstream: id, code: error.code });
    return ask(parts, request, facts, offers, payer, index + 1);
  });
}

async function askOne(
  parts: AskParts,
  request: InferenceRequest,
  facts: ChatRequestFacts,
  offer: PricedOffer,
  payer: Payer,
  holdId: string,
): Promise<Answer> {
  const { ledger, holds, rate, log, clock, drains, accounts } = parts;
  const held = holds.take(
    holdId,
    payer.account,
    ceilingRequest(facts),
    offer,
    keyedBy(request, payer),
    request.maxCost,
  );
  // A stream's first byte may come soon, and waits for the hold.
  if (facts.stream) ledger.hurry();
  request.held?.(held.amount);
  if (facts.stream && request.delivery === 'live') request.streaming?.();
  const settlement = createSettlement({
    ledger,
    holds,
    log,
    requestId: request.id,
    holdId,
    account: payer.account,
    terms: {
      model: offer.modelId,
      price: offer.price,
      readTokens: facts.readTokens,
      most: mostUsage({ maxOutputTokens: held.maxTokens ?? facts.maxTokens, choices: facts.choices }, offer),
      msatPerUsd: rate.msatPerUsd(),
      maxCost: request.maxCost,
    },
  });
  const { stream } = facts;
  const includeUsage = facts.includeUsage !== false;
  const work = newCancel();
  const upstream = await begin(request, facts, offer, held, work, settlement.free);

  const makeChange =
    payer.remainder === 'return'
      ? (receipt: Receipt) => accounts.changeOf(payer.account, receipt)
      : undefined;
  if (stream !== upstream.contentType.startsWith('text/event-stream')) {
    cancel(work);
    await settlement.free();
    throw new NodeError(
      'upstream_error',
      'The AI server answered in another format than asked for. Nothing was charged.',
    );
  }
  if (!stream) {
    const { body, receipt } = await wholeAnswer(upstream, work, settlement, makeChange);
    return storedAnswer({ status: upstream.status, contentType: JSON_TYPE, body, receipt }, false);
  }
  const streamParts = {
    upstream,
    work,
    settlement,
    makeChange,
    choices: facts.choices,
    includeUsage,
    gone: request.gone,
    drains,
    clock,
    log,
  };
  if (request.delivery === 'live') return streamAnswer(streamParts);
  const { body, receipt } = await heldStream(streamParts);
  return storedAnswer({ status: upstream.status, contentType: EVENT_STREAM_TYPE, body, receipt }, false);
}

/**
 * Asks at once and keeps the first byte back until the hold is on disk: the flush costs no time that way, and a
 * crash in between costs the node one unbilled call, never the client. Of a whole answer no byte leaves before its
 * charge is on disk, and that comes after its hold.
 */
async function begin(
  request: InferenceRequest,
  facts: ChatRequestFacts,
  offer: PricedOffer,
  held: { maxTokens?: number | undefined; durable: Promise<void> },
  work: Cancel,
  free: () => Promise<Receipt>,
): Promise<UpstreamAnswer> {
  const { stream } = facts;
  const stop = () => cancel(work);
  onCancel(request.gone, stop);
  // A hold that never gets to disk ends the call at once; `free` then tells why.
  held.durable.catch(stop);
  try {
    const body = facts.bodyFor({ model: offer.upstreamId, forceUsage: stream, maxTokens: held.maxTokens });
    const answer = await offer.upstream.complete({ path: `/${request.endpoint}`, body, stream, work });
    if (stream) await held.durable;
    return answer;
  } catch (error) {
    cancel(work);
    await free();
    throw error;
  } finally {
    offCancel(request.gone, stop);
  }
}

const JSON_TYPE = 'application/json; charset=utf-8';
const EVENT_STREAM_TYPE = 'text/event-stream; charset=utf-8';

const keyedBy = (request: InferenceRequest, { idempotency }: Payer) =>
  idempotency && { ...idempotency, requestId: request.id };

export const ceilingRequest = (facts: ChatRequestFacts): CeilingRequest => ({
  promptTokens: facts.promptTokens,
  maxOutputTokens: facts.maxTokens,
  choices: facts.choices,
});

/** The upstream is to blame, so that another one may do better. What the client did wrong stays wrong. */
const isTheirFault = (error: NodeError): boolean =>
  error.code === 'upstream_error' ||
  error.code === 'upstream_unavailable' ||
  error.code === 'upstream_timeout' ||
  error.code === 'rate_limited';
