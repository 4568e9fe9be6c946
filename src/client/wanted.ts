/** What a buyer wants: a model, a price. Decides from announced models, and says when a longer list is needed. */
import type { Msat } from '../base/money.ts';
import type { AnnouncedModel, Announcement } from '../protocol/announcement.ts';

export interface Wanted {
  /** Only nodes that sell this model; a vendor prefix may be left out. */
  model?: string;
  /** Only models whose prompt and completion price, each in msat per 1,000,000 tokens, is at most this. */
  maxPrice?: Msat;
}

/** Spares the probe where the announcement already says no. Lists that are not complete say nothing. */
export const maySell = (announcement: Announcement, wanted: Wanted): boolean =>
  needsFullList(announcement, wanted) ||
  matching(announcement.models, wanted).length > 0 ||
  !hasFilter(wanted);

export const hasFilter = ({ model, maxPrice }: Wanted): boolean =>
  model !== undefined || maxPrice !== undefined;

export function needsFullList({ models, modelsTotal }: Announcement, wanted: Wanted): boolean {
  if (models.length === 0) return modelsTotal === undefined || modelsTotal > 0;
  return hasFilter(wanted) && (modelsTotal ?? 0) > models.length && matching(models, wanted).length === 0;
}

export const matching = (models: readonly AnnouncedModel[], { model, maxPrice }: Wanted): AnnouncedModel[] =>
  models.filter(
    (one) =>
      (model === undefined || sameModel(one.id, model)) &&
      (maxPrice === undefined || (one.in <= maxPrice && one.out <= maxPrice)),
  );

/** Exact id, or the same id with or without a vendor in front. */
const sameModel = (id: string, wanted: string): boolean =>
  id === wanted || id.endsWith(`/${wanted}`) || wanted.endsWith(`/${id}`);

/** Whether this client can talk to the node over encrypted messages. */
export const speaksDmi = ({ rpc }: Announcement): boolean => rpc?.includes('dmi/1') === true;
