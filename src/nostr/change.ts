/** Whether two announcements differ enough to bother the relays. */
import { LIMITS } from '../base/limits.ts';
import type { AnnouncedModel, Announcement } from '../protocol/announcement.ts';

/** `prices` only if nothing else differs and one moved by more than LIMITS.announce.priceMovePercent. */
export type Change = 'none' | 'prices' | 'facts';

export function changeOf(before: Announcement, after: Announcement): Change {
  if (JSON.stringify(withoutPrices(before)) !== JSON.stringify(withoutPrices(after))) return 'facts';
  const priced = before.models.some((old, index) => {
    const now = after.models[index];
    return now === undefined || moved(old.in, now.in) || moved(old.out, now.out);
  });
  return priced ? 'prices' : 'none';
}

const moved = (before: number, after: number): boolean =>
  Math.abs(after - before) * 100 > before * LIMITS.announce.priceMovePercent;

function withoutPrices(announcement: Announcement): unknown {
  const models = announcement.models.map(({ id, ctx, maxOut, io }: AnnouncedModel) => [id, ctx, maxOut, io]);
  const entries = Object.entries({ ...announcement, models }).filter(([, value]) => value !== undefined);
  return entries.sort(([a], [b]) => (a < b ? -1 : 1));
}
