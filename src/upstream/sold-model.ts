/** Sold model: one model at one upstream as the operator or the upstream describes it, before it has a price in sat. */
import type { Usd, UsdPrices } from '../pricing/model-price.ts';

export interface SoldModel {
  /** Name under which buyers ask for it. */
  id: string;
  /** Name at the upstream. */
  upstreamId: string;
  name: string;
  description: string;
  contextLength: number;
  maxOutputTokens: number;
  aliasIds: string[];
  /** Unix seconds. */
  created: number;
  ownedBy: string;
  inputModalities: string[];
  outputModalities: string[];
  /** Undefined if the upstream names no price. */
  usd: UsdPrices | undefined;
}

/** A model of the configuration. */
export interface ModelConfig {
  id: string;
  upstream_id?: string | undefined;
  name?: string | undefined;
  description?: string | undefined;
  input_usd_per_million: Usd;
  output_usd_per_million: Usd;
  cached_usd_per_million?: Usd | undefined;
  /** The same under the name that the configuration file uses. */
  cached_input_usd_per_million?: Usd | undefined;
  context_length?: number | undefined;
  max_output_tokens?: number | undefined;
  alias_ids?: string[] | undefined;
}

export function configuredModel(config: ModelConfig, now: number): SoldModel {
  const upstreamId = config.upstream_id ?? config.id;
  const fullName = upstreamId.endsWith(`/${config.id}`) ? [upstreamId] : [];
  return soldModel({
    id: config.id,
    upstreamId,
    name: config.name,
    description: config.description,
    contextLength: config.context_length,
    maxOutputTokens: config.max_output_tokens,
    aliasIds: [...new Set([...(config.alias_ids ?? []), ...fullName])],
    created: now,
    usd: {
      input: config.input_usd_per_million,
      output: config.output_usd_per_million,
      cached: config.cached_usd_per_million ?? config.cached_input_usd_per_million,
    },
  });
}

/** Where nobody says how long a context is. */
const DEFAULT_CONTEXT = 128_000;
const DEFAULT_OUTPUT = 16_384;
/** Some clients read it as a 32 bit number. */
const CONTEXT_MAX = 2_000_000_000;

type Description = Pick<SoldModel, 'id' | 'upstreamId' | 'aliasIds' | 'created' | 'usd'> & {
  [
    Field in
      | 'name'
      | 'description'
      | 'contextLength'
      | 'maxOutputTokens'
      | 'ownedBy'
      | 'inputModalities'
      | 'outputModalities'
  ]?: SoldModel[Field] | undefined;
};

/** Fills in what a description leaves out. */
export function soldModel(given: Description): SoldModel {
  const contextLength = Math.min(given.contextLength ?? DEFAULT_CONTEXT, CONTEXT_MAX);
  const half = Math.max(1, Math.floor(contextLength / 2));
  return {
    ...given,
    name: given.name ?? given.id,
    description: given.description ?? '',
    contextLength,
    maxOutputTokens: Math.min(given.maxOutputTokens ?? Math.min(DEFAULT_OUTPUT, half), CONTEXT_MAX),
    ownedBy: given.ownedBy ?? 'routstr-node',
    inputModalities: given.inputModalities ?? ['text'],
    outputModalities: given.outputModalities ?? ['text'],
  };
}
