/** Listing: a model as `/v1/models` shows it, for OpenAI, OpenRouter and Routstr clients at once. */
import { msat, type Msat } from '../base/money.ts';
import { publishedPricing } from '../pricing/published.ts';
import type { PricedOffer } from './catalogue.ts';

/** Every Routstr field is present and a number where clients expect one: strict parsers refuse the whole list else. */
export function listing(offer: PricedOffer, msatPerUsd: number | undefined): Record<string, unknown> {
  const { contextLength, maxOutputTokens, inputModalities, outputModalities, aliasIds } = offer;
  return {
    id: offer.modelId,
    object: 'model',
    created: offer.created,
    owned_by: offer.ownedBy,
    name: offer.name,
    description: offer.description,
    context_length: contextLength,
    architecture: {
      modality: `${inputModalities.join('+')}->${outputModalities.join('+')}`,
      input_modalities: inputModalities,
      output_modalities: outputModalities,
      tokenizer: 'Other',
      instruct_type: null,
    },
    ...publishedPricing(offer, msatPerUsd),
    top_provider: {
      context_length: contextLength,
      max_completion_tokens: maxOutputTokens,
      is_moderated: false,
    },
    per_request_limits: null,
    alias_ids: aliasIds,
    canonical_slug: aliasIds.find((alias) => alias.endsWith(`/${offer.modelId}`)) ?? null,
    enabled: true,
  };
}

/** A model as the announcement carries it. */
export interface AnnouncedOffer {
  id: string;
  in: Msat;
  out: Msat;
  ctx: number;
  maxOut: number;
  io: string;
}

export function announcedOffer(offer: PricedOffer): AnnouncedOffer {
  const output = letters(offer.outputModalities);
  return {
    id: offer.modelId,
    in: msat(offer.price.in),
    out: msat(offer.price.out),
    ctx: offer.contextLength,
    maxOut: offer.maxOutputTokens,
    io: letters(offer.inputModalities) + (output === 't' ? '' : `>${output}`),
  };
}

const LETTERS: Record<string, string> = { text: 't', image: 'i', audio: 'a', file: 'f', video: 'v' };

/** Kinds without a letter are left out; a model that takes nothing known takes text. */
const letters = (modalities: readonly string[]): string =>
  [...new Set(modalities.map((modality) => LETTERS[modality] ?? ''))].join('') || 't';
