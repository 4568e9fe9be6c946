/** Probe: asks the announced URLs whose they are, so that nobody can announce somebody else's address. */
import { z } from 'zod';
import { LIMITS } from '../base/limits.ts';
import type { AnnouncedModel } from '../protocol/announcement.ts';
import { pubkeyOf } from '../relay/key.ts';
import type { FetchJson, FetchOutcome } from './fetch-json.ts';
import type { Found } from './sieve.ts';
import { readModelList } from './http-models.ts';

export interface ProbeResult {
  bound: boolean;
  /** Proven ones first; addresses that named somebody else are gone. */
  urls: string[];
  /** How many of them are proven. */
  proven: number;
  latencyMs?: number;
  /** Read over HTTP where the announcement has none. */
  models?: AnnouncedModel[];
  reasons: string[];
}

export type Probe = (found: Found, wantsFullList: boolean, signal: AbortSignal) => Promise<ProbeResult>;

const infoSchema = z.object({ npub: z.string().max(200) });

export function createProbe(options: { fetchInfo: FetchJson }): Probe {
  /** One question per address, however many announcements name it. */
  const asked = new Map<string, Promise<FetchOutcome>>();
  const ask = (url: string, signal: AbortSignal): Promise<FetchOutcome> => {
    const running = asked.get(url) ?? options.fetchInfo(url, signal);
    asked.set(url, running);
    return running;
  };

  return async (found, wantsFullList, signal) => {
    const reasons: string[] = [];
    const proven: string[] = [];
    const open: string[] = [];
    let latencyMs: number | undefined;
    for (const url of found.announcement.urls) {
      if (open.length + proven.length >= LIMITS.discover.urlsMax || signal.aborted) {
        open.push(url);
        continue;
      }
      const answer = await ask(`${url}/v1/info`, signal);
      const host = new URL(url).host;
      const owner = answer.outcome === 'ok' ? ownerOf(answer.json) : undefined;
      if (answer.outcome === 'failed') {
        open.push(url);
        reasons.push(`${host}: ${answer.reason}`);
      } else if (owner === found.pubkey) {
        proven.push(url);
        latencyMs = Math.min(latencyMs ?? Infinity, answer.ms);
        reasons.push(`${host} confirms the key and answered in ${answer.ms} ms`);
      } else {
        reasons.push(owner === undefined ? `${host} names no key` : `${host} belongs to another key`);
        if (owner === undefined) open.push(url);
      }
    }
    const [best] = proven;
    const list = best !== undefined && wantsFullList ? await ask(`${best}/v1/models`, signal) : undefined;
    return {
      bound: best !== undefined,
      proven: proven.length,
      urls: [...proven, ...open],
      reasons,
      ...(latencyMs === undefined ? {} : { latencyMs }),
      ...(list?.outcome === 'ok' ? { models: readModelList(list.json) } : {}),
    };
  };
}

function ownerOf(json: unknown): string | undefined {
  const info = infoSchema.safeParse(json);
  return info.success ? pubkeyOf(info.data.npub) : undefined;
}
