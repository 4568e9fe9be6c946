/** Idempotency at the gateway: one request with an Idempotency-Key runs once, however often and whenever it is sent. */
import { NodeError } from '../base/error.ts';
import { sha256Hex } from '../base/id.ts';
import type { Idempotency, Remembered } from '../ledger/idempotency.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** What a face read from a request. */
export interface RequestKey {
  /** The client's Idempotency-Key. */
  key: string;
  /** Hash of everything that makes this request another one: its route and its body. */
  request: string;
}

export interface Once {
  /**
   * @param scope whose key it is: an account, or the hash of a token. Keys of two scopes never meet.
   * @param act does it; what it writes to the ledger carries the idempotency that it is given.
   * @param replay makes the first answer again from what the ledger remembers; undefined where nothing came of it.
   * Throws idempotency_key_reused, operation_in_progress.
   */
  run: <T>(
    scope: string,
    given: RequestKey | undefined,
    act: (idempotency: Idempotency | undefined) => Promise<T>,
    replay: (before: Remembered) => Promise<T> | undefined,
  ) => Promise<T>;
}

export const idempotencyOf = (scope: string, { key, request }: RequestKey): Idempotency => ({
  id: sha256Hex(`${scope}|${key}`).slice(0, 32),
  request: request.slice(0, 32),
});

export function createOnce({ ledger }: { ledger: Pick<Ledger, 'remembered'> }): Once {
  /** Requests that run at this moment; bounded by the connections of the faces. */
  const running = new Map<string, string>();

  return {
    run: async (scope, given, act, replay) => {
      if (given === undefined) return act(undefined);
      const idempotency = idempotencyOf(scope, given);
      const { id, request } = idempotency;
      const before = ledger.remembered(id);
      if ((running.get(id) ?? before?.request ?? request) !== request) throw keyReused();
      if (running.has(id)) throw inProgress();
      running.set(id, request);
      try {
        return await ((before && replay(before)) ?? act(idempotency));
      } finally {
        running.delete(id);
      }
    },
  };
}

export const keyReused = (): NodeError =>
  new NodeError(
    'idempotency_key_reused',
    'This Idempotency-Key was used for another request. Repeat that one unchanged, or use a new key.',
  );
export const inProgress = (): NodeError =>
  new NodeError('operation_in_progress', 'The same request is running; ask again in a moment.', {
    retryAfterMs: 1_000,
  });
