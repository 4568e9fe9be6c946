/**
 * Records of requests that came by direct message: written before anything happens that could cost money, so that one
 * id of one key is one request, over however many relays, wraps and processes. What could be worth something to
 * others, tokens and keys in the request, is sealed.
 */
import type { RequestId } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import type { Sealer } from '../base/seal.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import { type RequestFrame, clientFrame } from '../protocol/dmi.ts';

/** Durable values that are forgotten in time; the ledger keeps them. */
export interface RecordStore {
  get: (key: string) => string | undefined;
  /** @param until Unix seconds. Resolves when it survives a crash. */
  put: (key: string, value: string | null, until: number) => Promise<void>;
}

/** What came of a request, without what was said in it. */
export interface End {
  status: number;
  costMsat: number;
  /** Of a refusal. */
  code?: string;
  message?: string;
}

/** `running` beyond the life of its process means: nobody knows yet what came of it. */
export interface RequestRecord {
  /** Of everything but the time it is good for; another request under the same id is a mistake of the client. */
  hash: string;
  state: 'running' | 'done';
  requestId: RequestId;
  /** Unix seconds. */
  at: number;
  /** The answer may carry a token or a key: it is sent again until it is acknowledged. */
  hasValue: boolean;
  /** Relays that it came from, where it is answered. */
  from: readonly string[];
  /** The frame, sealed; dropped once nothing can depend on it. */
  sealed?: string;
  end?: End;
}

export interface Records {
  get: (key: string) => RequestRecord | undefined;
  put: (key: string, record: RequestRecord) => Promise<void>;
  seal: (key: string, frame: RequestFrame) => string;
  /** Undefined where it is not kept, or was sealed by another node. */
  frame: (key: string, record: RequestRecord) => RequestFrame | undefined;
  /** Keys of requests whose value waits to be acknowledged. */
  waiting: () => string[];
  setWaiting: (keys: readonly string[]) => Promise<void>;
}

/** One request: the client's key and the id it chose. */
export const recordKey = (sender: string, id: string): string => `${sender}:${id}`;
export const senderOfKey = (key: string): string => key.slice(0, 64);

export function createRecords(options: { store: RecordStore; sealer: Sealer; clock: Clock }): Records {
  const { store, sealer, clock } = options;
  const name = (key: string): string => `dmi/req/${key}`;
  const WAITING = 'dmi/waiting';

  return {
    get: (key) => {
      const text = store.get(name(key));
      return text === undefined ? undefined : (JSON.parse(text) as RequestRecord);
    },
    put: (key, record) => {
      const { recordSeconds, valueSeconds } = LIMITS.dmi;
      const keep = record.hasValue && record.sealed !== undefined ? valueSeconds : recordSeconds;
      return store.put(name(key), JSON.stringify(record), record.at + keep);
    },
    seal: (key, frame) => sealer.seal(JSON.stringify(frame), name(key)),
    frame: (key, { sealed }) => {
      if (sealed === undefined) return undefined;
      const read = clientFrame.safeParse(JSON.parse(sealer.open(sealed, name(key))));
      return read.success && read.data.t === 'req' ? read.data : undefined;
    },
    waiting: () => JSON.parse(store.get(WAITING) ?? '[]') as string[],
    setWaiting: (keys) =>
      store.put(WAITING, JSON.stringify(keys), unixSeconds(clock) + LIMITS.dmi.valueSeconds),
  };
}
