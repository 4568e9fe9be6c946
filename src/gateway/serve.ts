/** Serve: payer, ceiling, hold, ask, settle: the one way through this node, whichever face the request came by. */
import { type Cancel, cancel, newCancel, offCancel, onCancel } from '../base/cancel.ts';
import { NodeError } from '../base/error.ts';
import { sha256Hex } from '../base/id.ts';
import { type Logger, errorKind } from '../base/log.ts';
import type { Secret } from '../base/secret.ts';
import type { Clock } from '../base/time.ts';
import { tokenTextHash } from '../base/token-text.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { type CeilingRequest, mostUsage } from '../pricing/ceiling.ts';
import type { ModelPrice } from '../pricing/cost.ts';
import type { RateSource } from '../pricing/rate.ts';
import { type ChatRequestFacts, readChatRequest } from '../protocol/chat-request.ts';
import type { Catalogue, Offer } from '../upstream/catalogue.ts';
import type { UpstreamAnswer } from '../upstream/upstream.ts';
import type { Accounts } from './account.ts';
import { type Holds, leastCost, requireRoom } from './holds.ts';
import { keyedAnswer } from './keyed-answer.ts';
import type { LoopBreaker } from './loop.ts';
import type { Outcomes, StoredAnswer } from './outcomes.ts';
import { type Payers } from './payer.ts';
import type { RateLimit } from './key-rate.ts';
import type { Answer, Body, InferenceRequest, Payer, Receipt } from './request.ts';
import { createSettlement } from './settlement.ts';
import { type Drains, heldStream, streamAnswer } from './stream-answer.ts';
import { wholeAnswer } from './whole-answer.ts';

export interface ServeParts {
  ledger: Ledger;
  catalogue: Catalogue;
  rate: RateSource;
  payers: Payers;
  holds: Holds;
  accounts: Accounts;
  outcomes: Outcomes;
  rateLimit: RateLimit;
  loopBreaker: LoopBreaker;
  drains: Drains;
  clock: Clock;
  log: Logger;
}

type Priced = Offer & { price: ModelPrice };

/** Throws NodeError before any byte; a one-shot payment that was redeemed comes back in `options.change`. */
export function createServe(parts: ServeParts): (request: InferenceRequest) => Promise<Answer> {
  const { catalogue, payers, outcomes, rateLimit, loopBreaker } = parts;

  return async function serve(request) {
    const facts = readChatRequest(request.body);
    const { offers, first } = pricedOffers(catalogue, facts.model);
    const { credential, maxCost } = request;
    if (maxCost !== undefined) requireRoom(maxCost, ceilingRequest(facts), first);
    if (credential?.kind !== 'token' || credential.remainder === 'keep') {
      const payer = await payers.resolve(credential, () => leastCost(ceilingRequest(facts), first));
      rateLimit.admit(payer.account);
      const { idempotencyKey } = request;
      if (idempotencyKey !== undefined) {
        const keyed = { ...request, idempotencyKey };
        const answer = await keyedAnswer(parts, keyed, payer.account, (idempotency) => {
          loopBreaker.admit(payer.account, request.body);
          return ask(parts, request, facts, offers, { ...payer, idempotency });
        });
        return 'chunks' in answer ? answer : storedAnswer(answer, true);
      }
      loopBreaker.admit(payer.account, request.body);
      return ask(parts, request, facts, offers, payer);
    }

    const payment = tokenTextHash(credential.token.reveal());
    const bodyHash = sha256Hex(request.body);
    const stored = replay(outcomes, payment, bodyHash);
    if (stored) return storedAnswer(stored, true);
    outcomes.begin(payment, bodyHash);
    let payer: Payer | undefined;
    try {
      payer = await payers.resolve(credential, () => leastCost(ceilingRequest(facts), first));
      const answer = await ask(parts, request, facts, offers, payer);
      const { whole } = answer;
      if (whole !== undefined) keep(outcomes, payment, answer, whole, await answer.receipt);
      else void answer.receipt.finally(() => outcomes.forget(payment)).catch(() => undefined);
      return answer;
    } catch (error) {
      outcomes.forget(payment);
      throw payer && error instanceof NodeError ? await withRefund(parts, credential.token, error) : error;
    }
  };
}

/** Tries the offers in order; a failure before the first byte costs nothing and leads to the next. */
function ask(
  parts: ServeParts,
  request: InferenceRequest,
  facts: ChatRequestFacts,
  offers: readonly Priced[],
  payer: Payer,
  index = 0,
): Promise<Answer> {
  const offer = offers[index] as Priced;
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
  parts: ServeParts,
  request: InferenceRequest,
  facts: ChatRequestFacts,
  offer: Priced,
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
  request.held?.(held.amount);
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
      promptTokens: facts.promptTokens,
      most: mostUsage(
        { ...ceilingRequest(facts), maxOutputTokens: held.maxTokens ?? facts.maxTokens },
        offer,
      ),
      msatPerUsd: rate.msatPerUsd(),
      maxCost: request.maxCost,
    },
  });
  const { stream } = facts;
  const includeUsage = facts.includeUsage !== false;
  const work = newCancel();
  const upstream = await begin(request, facts, offer, held, work, settlement.free);

  const withChange = (receipt: Receipt): Receipt | Promise<Receipt> =>
    payer.remainder === 'return' ? accounts.changeOf(payer.account, receipt) : receipt;
  if (stream !== upstream.contentType.startsWith('text/event-stream')) {
    cancel(work);
    await settlement.free();
    throw new NodeError(
      'upstream_error',
      'The AI server answered in another format than asked for. Nothing was charged.',
    );
  }
  if (!stream) {
    const { body, receipt } = await wholeAnswer(upstream, work, settlement, withChange);
    return storedAnswer({ status: upstream.status, contentType: JSON_TYPE, body, receipt }, false);
  }
  const streamParts = {
    upstream,
    work,
    settlement,
    withChange,
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
 * crash in between costs the node one unbilled call, never the client.
 */
async function begin(
  request: InferenceRequest,
  facts: ChatRequestFacts,
  offer: Priced,
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
    await held.durable;
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

const ceilingRequest = (facts: ChatRequestFacts): CeilingRequest => ({
  promptTokens: facts.promptTokens,
  maxOutputTokens: facts.maxTokens,
  choices: facts.choices,
});

function pricedOffers(catalogue: Catalogue, model: string): { offers: readonly Priced[]; first: Priced } {
  const offers = catalogue.find(model);
  if (offers.length === 0) {
    throw new NodeError('model_not_found', 'This model is not sold here; GET /v1/models lists what is.', {
      param: 'model',
    });
  }
  const priced = offers.every(isPriced) ? offers : offers.filter(isPriced);
  const [first] = priced;
  if (!first) {
    throw new NodeError(
      'price_unavailable',
      'The price of this model is unknown at the moment; try again shortly.',
      {
        retryAfterMs: 10_000,
      },
    );
  }
  return { offers: priced, first };
}

const isPriced = (offer: Offer): offer is Priced => offer.price !== undefined;

/** The upstream is to blame, so that another one may do better. What the client did wrong stays wrong. */
const isTheirFault = (error: NodeError): boolean =>
  error.code === 'upstream_error' ||
  error.code === 'upstream_unavailable' ||
  error.code === 'upstream_timeout' ||
  error.code === 'rate_limited';

async function* oneChunk(body: Body): AsyncGenerator<Body> {
  yield body;
}

const storedAnswer = (answer: StoredAnswer, replayed: boolean): Answer => ({
  status: answer.status,
  contentType: answer.contentType,
  whole: answer.body,
  chunks: { [Symbol.asyncIterator]: () => oneChunk(answer.body) },
  receipt: Promise.resolve(answer.receipt),
  replayed,
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

/** The same payment for the same body gets the same answer while it is kept, and a conflict while it runs. */
function replay(outcomes: Outcomes, payment: string, bodyHash: string): StoredAnswer | undefined {
  const known = outcomes.find(payment, bodyHash);
  switch (known.state) {
    case 'done':
      return known.answer;
    case 'running':
      throw new NodeError(
        'token_in_use',
        'This token is paying for a request right now; ask again in a moment.',
        {
          retryAfterMs: 1_000,
        },
      );
    case 'other-body':
      throw new NodeError('token_already_spent', 'This token paid for another request. Send another token.', {
        metadata: { refund_available: true },
      });
    case 'unknown':
      return undefined;
  }
}

function keep(outcomes: Outcomes, payment: string, answer: Answer, body: Body, receipt: Receipt): void {
  outcomes.finish(payment, { status: answer.status, contentType: answer.contentType, body, receipt });
}

/** After redemption an error carries the full value back, or says that it can be claimed. */
async function withRefund(
  { accounts, log }: ServeParts,
  original: Secret,
  error: NodeError,
): Promise<NodeError> {
  try {
    const { token } = await accounts.claimChange(original);
    return new NodeError(error.code, error.message, { ...error.options, change: token });
  } catch (failure) {
    log.warn('gateway.change.delayed', { error: errorKind(failure) });
    return new NodeError(error.code, error.message, {
      ...error.options,
      metadata: { ...error.options.metadata, refund_available: true },
    });
  }
}
