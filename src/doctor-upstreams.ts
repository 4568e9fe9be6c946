/** The AI servers and the exchange rate as `doctor` sees them: who answers, and whether anything would be for sale. */
import { EXIT, NodeError } from './base/error.ts';
import { LIMITS } from './base/limits.ts';
import type { Config } from './config.ts';
import { type Check, type DoctorTools, about, codeOf, spelled } from './doctor-check.ts';
import { type RateUrls, createRateSource } from './pricing/rate.ts';
import { readModelList } from './upstream/imported.ts';
import { createOpenAiUpstream } from './upstream/openai.ts';

type Upstream = Config['upstreams'][number];

export async function examineUpstreams(config: Config, tools: DoctorTools): Promise<Check[]> {
  const found = await Promise.all(
    config.upstreams.map((upstream, i) => examineUpstream(config, tools, upstream, `upstreams[${i}]`)),
  );
  const sold = found.reduce((sum, { models }) => sum + models, 0);
  const { ok, fail } = about('models');
  const checks = found.map(({ check }) => check);
  if (sold > 0) return [...checks, ok(`${sold} ${sold === 1 ? 'model is' : 'models are'} for sale`)];
  // Where the lists could not be had, that is said above already.
  return checks.some(({ state }) => state === 'fail')
    ? checks
    : [...checks, fail(EXIT.error, 'nothing is for sale', 'list an upstream, and models with prices')];
}

async function examineUpstream(
  config: Config,
  { clock, log }: DoctorTools,
  { id, base_url: baseUrl, api_key: reference, models }: Upstream,
  path: string,
): Promise<{ check: Check; models: number }> {
  const { ok, warn, fail } = about('upstream', `${id} ${baseUrl}`);
  const apiKey = config.secrets.upstreamKeys.get(id);
  const listed = models?.length ?? 0;
  if (reference !== undefined && apiKey === undefined)
    return {
      check: warn('was not asked, because its key is missing', `see ${path}.api_key above`),
      models: listed,
    };
  const upstream = createOpenAiUpstream({ id, baseUrl, apiKey, clock, log });
  try {
    const answer = await upstream.listModels(AbortSignal.timeout(LIMITS.upstream.listTimeoutMs));
    const priceNeeded = models === undefined && config.pricing.mode === 'model';
    const list = readModelList(answer, { priceNeeded, now: 0 });
    if (list === undefined) {
      const says = 'it answers, but not with a list of models';
      const next = 'correct base_url: it ends with the version, as in /v1';
      return models === undefined
        ? { check: fail(EXIT.error, says, next), models: 0 }
        : { check: warn(says, next), models: listed };
    }
    if (models === undefined) {
      const { length } = list.models;
      const says = `it lists ${length} models to sell, and ${list.skipped} without a usable price`;
      return length > 0
        ? { check: ok(says), models: length }
        : { check: fail(EXIT.error, says, `name models and prices in ${path}.models`), models: 0 };
    }
    const there = new Set(list.models.map(({ upstreamId }) => upstreamId));
    const absent = models.map((model) => model.upstream_id ?? model.id).filter((name) => !there.has(name));
    return {
      check:
        absent.length === 0
          ? ok(`answers and has all ${listed} models`)
          : warn(
              `answers; not in its list: ${absent.slice(0, 5).join(', ')}${absent.length > 5 ? ', …' : ''}`,
              `compare ${path}.models[].upstream_id with its list`,
            ),
      models: listed,
    };
  } catch (error) {
    return failure(error, { path, listed, imports: models === undefined });
  } finally {
    await upstream.close();
  }

  function failure(
    error: unknown,
    { path, listed, imports }: { path: string; listed: number; imports: boolean },
  ): { check: Check; models: number } {
    const status = error instanceof NodeError ? statusOf(error) : undefined;
    if (status === 401 || status === 403) {
      const next = `correct ${path}.api_key`;
      return { check: fail(EXIT.auth, `it refuses the API key (status ${status})`, next), models: listed };
    }
    // Servers without such a list are no less good where the models are named here.
    if (!imports && status !== undefined && status < 500 && status !== 429)
      return {
        check: warn(`answers, but has no list of models (status ${status})`, 'send a paid request as a test'),
        models: listed,
      };
    const says = spelled(status === undefined ? codeOf(error) : `http_${status}`);
    return {
      check: fail(EXIT.unreachable, says, `correct ${path}.base_url, or start that server`),
      models: 0,
    };
  }
}

/** What the server itself answered, as far as the refusal says. */
function statusOf({ code, status, options }: NodeError): number | undefined {
  if (code === 'rate_limited') return 429;
  if (code === 'upstream_rejected') return status;
  const told = options.metadata?.['upstream_status'];
  return typeof told === 'number' ? told : undefined;
}

/** @param urls exchanges to ask instead of the public ones. */
export async function examineRate(
  { pricing }: Config,
  { clock, log }: DoctorTools,
  urls?: RateUrls,
): Promise<Check> {
  const { ok, warn, fail } = about('rate');
  if (pricing.btc_usd !== 'auto') return ok(`one bitcoin is ${pricing.btc_usd} USD, as configured`);
  const rate = createRateSource({ btcUsd: 'auto', clock, log, ...(urls === undefined ? {} : { urls }) });
  const known = new AbortController();
  const unsubscribe = rate.onChange(() => known.abort());
  rate.start();
  await clock.sleep(LIMITS.rate.timeoutMs, known.signal);
  const msatPerUsd = rate.msatPerUsd();
  unsubscribe();
  await rate.close();
  if (msatPerUsd !== undefined) return ok(`one USD is ${msatPerUsd} msat, as the exchanges say`);
  const [says, next] = [
    'no exchange says what a bitcoin costs',
    'let this machine reach them, or set pricing.btc_usd',
  ];
  return pricing.mode === 'request' ? warn(says, next) : fail(EXIT.unreachable, says, next);
}
