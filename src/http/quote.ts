/** Quote route: the body of a paid request in, what it would cost out. Free, and nobody has to say who asks. */
import type { Request, Response } from 'express';
import type { Gateway } from '../gateway/gateway.ts';
import { readJsonBytes } from './body.ts';
import { requestId } from './context.ts';
import { NO_STORE, replyJson } from './reply.ts';

export function createQuoteRoute({ gateway }: { gateway: Pick<Gateway, 'quote'> }) {
  return async (req: Request, res: Response): Promise<void> => {
    const quote = gateway.quote(await readJsonBytes(req));
    const body = {
      object: 'quote',
      model: quote.model,
      prompt_tokens: quote.promptTokens,
      max_output_tokens: quote.maxOutputTokens,
      required_msats: quote.least,
      expected_cost_msats: quote.expected,
      max_cost_msats: quote.most,
      payment_request: quote.paymentRequest,
      accepted_mints: quote.mints,
    };
    replyJson(res, requestId(req), 200, body, NO_STORE);
  };
}
