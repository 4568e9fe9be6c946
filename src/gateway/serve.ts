/** Serve: who pays, and whether the same was paid for before; then the one way through this node, whatever the face. */
import { NodeError } from '../base/error.ts';
import { sha256Hex } from '../base/id.ts';
import { errorKind } from '../base/log.ts';
import type { Secret } from '../base/secret.ts';
import { tokenTextHash } from '../base/token-text.ts';
import { readChatRequest } from '../protocol/chat-request.ts';
import type { Catalogue, Offer, PricedOffer } from '../upstream/catalogue.ts';
import { type AskParts, ask, ceilingRequest } from './ask.ts';
import { leastCost, mostCost, requireRoom } from './holds.ts';
import { keepAnswer, keyedAnswer } from './keyed-answer.ts';
import type { RateLimit } from './key-rate.ts';
import type { LoopBreaker } from './loop.ts';
import { type Outcomes, type StoredAnswer, storedAnswer } from './outcomes.ts';
import { type Payers, spentOnce } from './payer.ts';
import type { Answer, InferenceRequest, Payer } from './request.ts';

export interface ServeParts extends AskParts {
  catalogue: Catalogue;
  payers: Payers;
  outcomes: Outcomes;
  rateLimit: RateLimit;
  loopBreaker: LoopBreaker;
}

/** Throws NodeError before any byte; a one-shot payment that was redeemed comes back in `options.change`. */
export function createServe(parts: ServeParts): (request: InferenceRequest) => Promise<Answer> {
  const { catalogue, payers, outcomes, rateLimit, loopBreaker } = parts;

  return async function serve(request) {
    const facts = readChatRequest(request.body);
    const { offers, first } = pricedOffers(catalogue, facts.model);
    const { credential, maxCost } = request;
    const asked = ceilingRequest(facts);
    const least = () => leastCost(asked, first);
    if (maxCost !== undefined) requireRoom(maxCost, asked, first);
    if (credential?.kind !== 'token' || credential.remainder === 'keep') {
      const found = payers.resolve(credential, least, () => mostCost(asked, first));
      const payer = found instanceof Promise ? await found : found;
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
      // Awaited: an async function that returns a promise waits for it in three steps instead of one.
      return await ask(parts, request, facts, offers, payer);
    }

    const payment = tokenTextHash(credential.token.reveal());
    const bodyHash = sha256Hex(request.body);
    const stored = replay(parts, payment, bodyHash);
    if (stored) return storedAnswer(stored, true);
    outcomes.begin(payment, bodyHash);
    let payer: Payer | undefined;
    try {
      payer = await payers.resolve(credential, least);
      return await keepAnswer(outcomes, payment, await ask(parts, request, facts, offers, payer));
    } catch (error) {
      // Until its change is made nobody pays with the token anew: that would be another change.
      const told =
        payer && error instanceof NodeError ? await withRefund(parts, credential.token, error) : error;
      outcomes.forget(payment);
      throw told;
    }
  };
}

export function pricedOffers(
  catalogue: Catalogue,
  model: string,
): { offers: readonly PricedOffer[]; first: PricedOffer } {
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

const isPriced = (offer: Offer): offer is PricedOffer => offer.price !== undefined;

/** The same payment for the same body gets the same answer while it is kept, and a conflict while it runs. */
function replay(
  { outcomes, ledger }: ServeParts,
  payment: string,
  bodyHash: string,
): StoredAnswer | undefined {
  const known = outcomes.find(payment, bodyHash);
  switch (known.state) {
    case 'done':
      return known.answer;
    case 'running':
      throw tokenInUse();
    case 'other-body':
      // How a running request ends is not known yet: it may leave the token untouched.
      throw known.running ? tokenInUse() : spentOnce(ledger, ledger.operationOfText(payment));
    case 'unknown':
      return undefined;
  }
}

const tokenInUse = (): NodeError =>
  new NodeError('token_in_use', 'This token is paying for a request right now; ask again in a moment.', {
    retryAfterMs: 1_000,
  });

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
