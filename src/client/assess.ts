/** createAssessor: makes a provider of an announcement: whose address it is, what it costs, who vouches for it. */
import { LIMITS } from '../base/limits.ts';
import type { Msat } from '../base/money.ts';
import type { AnnouncedModel, Announcement } from '../protocol/announcement.ts';
import { npubOf } from '../relay/key.ts';
import type { Proof, Record } from './memory.ts';
import type { Probe, ProbeResult } from './probe.ts';
import type { Provider } from './provider.ts';
import { expectedCost, type Mix } from './rank.ts';
import type { DropReason, Found } from './sieve.ts';
import type { Opinion } from './trust.ts';
import { hasFilter, matching, needsFullList, speaksDmi, type Wanted } from './wanted.ts';

export interface Knowledge {
  proofs: ReadonlyMap<string, Proof>;
  history: ReadonlyMap<string, Record>;
  opinions: ReadonlyMap<string, Opinion>;
  pinned: ReadonlySet<string>;
}

export type Assessment = { provider: Provider; proof?: Proof } | { dropped: DropReason };
export type Assessor = (found: Found, late: AbortSignal) => Promise<Assessment>;

const NO_OPINION: Opinion = { recommendedBy: 0, approvedBy: 0, warnedBy: 0 };

export function createAssessor(options: {
  probe: Probe;
  knowledge: Knowledge;
  wanted: Wanted;
  mix: Mix;
  /** A recent proof is believed without asking again. */
  warm: boolean;
  /** List providers and addresses too that could not be proven. */
  unproven: boolean;
  /** Unix seconds. */
  now: number;
}): Assessor {
  const { probe, knowledge, wanted, mix, warm, unproven, now } = options;

  return async (found, late) => {
    const { announcement, pubkey } = found;
    const wantsList = needsFullList(announcement, wanted);
    const proof = recent(knowledge.proofs.get(pubkey), announcement, now);
    const useProof = warm && proof !== undefined && !(wantsList && proof.models === undefined);
    const probed = useProof ? undefined : await probe(found, wantsList, late);
    const known = probed?.bound === true ? undefined : proof;
    const bound = known !== undefined || probed?.bound === true;
    const dm = speaksDmi(announcement);
    // An address that named another key is gone from the list; one that was not reached says nothing.
    const urls = known?.urls ?? probed?.urls ?? announcement.urls;
    if (!bound && !dm) {
      if (urls.length === 0) return { dropped: 'impostor' };
      if (found.proofOfLifeNeeded) return { dropped: 'stale' };
      if (!unproven) return { dropped: 'unproven' };
    }
    const list = probed?.models ?? known?.models;
    const models = matching(list ?? announcement.models, wanted);
    if (hasFilter(wanted) && models.length === 0) return { dropped: 'not_wanted' };
    const cost = cheapest(models, announcement, mix);
    const latencyMs = latencyOf(probed, known, useProof);
    const { name, about, mints, version, contact = [] } = announcement;
    return {
      ...(probed?.bound === true ? { proof: proofOf(pubkey, probed, now) } : {}),
      provider: {
        pubkey,
        npub: npubOf(pubkey),
        name,
        about,
        // Listed for its messages alone: what a buyer sends to an address that nobody proved is anybody's.
        urls: bound || unproven ? urls : [],
        mints,
        version,
        models,
        createdAt: found.createdAt,
        bound,
        ...(dm ? { dm: announcement.relays ?? [] } : {}),
        ...(latencyMs === undefined ? {} : { latencyMs }),
        ...(cost === undefined ? {} : { expectedMsat: cost.msat }),
        ...(contact.length === 0 ? {} : { contact }),
        trust: trustIn(pubkey, knowledge),
        reasons: [costReason(cost, mix), ...bindingReasons({ probed, known, dm, late, now })],
      },
    };
  };
}

/** A proof is about addresses: one that the provider no longer announces is not proven to be its own. */
function recent(proof: Proof | undefined, { urls }: Announcement, now: number): Proof | undefined {
  if (proof === undefined || now - proof.at > LIMITS.discover.provenSecondsMax || proof.at > now) {
    return undefined;
  }
  const still = proof.urls.filter((url) => urls.includes(url));
  return still.length === 0 ? undefined : { ...proof, urls: still };
}

const proofOf = (pubkey: string, probed: ProbeResult, at: number): Proof => {
  const { models } = probed;
  return {
    pubkey,
    at,
    urls: probed.urls.slice(0, probed.proven),
    latencyMs: probed.latencyMs ?? 0,
    ...(models !== undefined && models.length <= LIMITS.discover.cachedModelsMax ? { models } : {}),
  };
};

/** A provider that was there yesterday and is silent now counts as slow as a probe may take. */
function latencyOf(
  probed: ProbeResult | undefined,
  known: Proof | undefined,
  useProof: boolean,
): number | undefined {
  if (probed?.latencyMs !== undefined) return probed.latencyMs;
  if (known === undefined) return undefined;
  return useProof ? known.latencyMs : LIMITS.discover.probeTimeoutMs;
}

function trustIn(pubkey: string, { pinned, history, opinions }: Knowledge): Provider['trust'] {
  const { ok = 0, failed = 0 } = history.get(pubkey) ?? {};
  return { pinned: pinned.has(pubkey), ok, failed, ...(opinions.get(pubkey) ?? NO_OPINION) };
}

interface Cost {
  id: string;
  msat: Msat;
}

function cheapest(models: readonly AnnouncedModel[], announcement: Announcement, mix: Mix): Cost | undefined {
  let best: Cost | undefined;
  for (const model of models) {
    const msat = expectedCost(model, announcement, mix);
    if (best === undefined || msat < best.msat) best = { id: model.id, msat };
  }
  return best;
}

const costReason = (cost: Cost | undefined, { promptTokens, completionTokens }: Mix): string =>
  cost === undefined
    ? 'no prices are known'
    : `${promptTokens} prompt and ${completionTokens} completion tokens of ${cost.id} cost ${cost.msat} msat`;

function bindingReasons(facts: {
  probed: ProbeResult | undefined;
  known: Proof | undefined;
  dm: boolean;
  late: AbortSignal;
  now: number;
}): string[] {
  const { probed, known, dm, late, now } = facts;
  const notes = probed?.reasons ?? [];
  if (known !== undefined) {
    const minutes = Math.floor((now - known.at) / 60);
    const [url = ''] = known.urls;
    return [`${new URL(url).host} confirmed the key ${minutes} minutes ago`, ...notes];
  }
  if (probed?.bound === true) return notes;
  if (dm && probed?.urls.length === 0) return ['reached by encrypted messages to its key', ...notes];
  const why = late.aborted ? 'was not checked in time' : 'is not confirmed by any of its addresses';
  return [`the key ${why}`, ...notes];
}
