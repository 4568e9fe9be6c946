/** Whether two announcements differ enough to bother the relays. */
import { LIMITS } from '../base/limits.ts';
import type { AnnouncedModel, Announcement } from '../protocol/announcement.ts';

/** Any difference counts, except prices that all stayed within LIMITS.announce.priceMovePercent. */
export function differs(before: Announcement, after: Announcement): boolean {
  if (JSON.stringify(withoutPrices(before)) !== JSON.stringify(withoutPrices(after))) return true;
  return before.models.some((old, index) => {
    const now = after.models[index];
    return now === undefined || moved(old.in, now.in) || moved(old.out, now.out);
  });
}

const moved = (before: number, after: number): boolean =>
  Math.abs(after - before) * 100 > before * LIMITS.announce.priceMovePercent;

function withoutPrices(announcement: Announcement): unknown {
  const models = announcement.models.map(({ id, ctx, maxOut, io }: AnnouncedModel) => [id, ctx, maxOut, io]);
  const entries = Object.entries({ ...announcement, models }).filter(([, value]) => value !== undefined);
  return entries.sort(([a], [b]) => (a < b ? -1 : 1));
}
