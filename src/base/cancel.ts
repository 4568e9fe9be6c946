/**
 * Cancel: tells one piece of work that nobody wants it any more. It does what AbortController does, for the hot path:
 * two AbortControllers with their event targets cost a tenth of the CPU of a whole paid request.
 */
export interface Cancel {
  cancelled: boolean;
  reason: Error | undefined;
  listeners: (() => void)[] | undefined;
}

/** Whoever wanted the work has left, and gave no reason. */
export class Cancelled extends Error {}

export const newCancel = (): Cancel => ({ cancelled: false, reason: undefined, listeners: undefined });

/** Calls every listener once; a second call does nothing. */
export function cancel(work: Cancel, reason?: Error): void {
  if (work.cancelled) return;
  work.cancelled = true;
  work.reason = reason;
  const { listeners } = work;
  work.listeners = undefined;
  for (const listener of listeners ?? []) listener();
}

/** Calls `listener` when the work is cancelled; at once if it is already. */
export function onCancel(work: Cancel, listener: () => void): void {
  if (work.cancelled) listener();
  else if (work.listeners) work.listeners.push(listener);
  else work.listeners = [listener];
}

export function offCancel(work: Cancel, listener: () => void): void {
  const at = work.listeners?.indexOf(listener) ?? -1;
  if (at !== -1) work.listeners?.splice(at, 1);
}
