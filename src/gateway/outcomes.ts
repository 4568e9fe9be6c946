/** Outcomes: answers of one-shot payments, kept in memory for a client whose connection broke; never on disk. */
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type { Answer, Body, Receipt } from './request.ts';

export interface StoredAnswer {
  status: number;
  contentType: string;
  body: Body;
  receipt: Receipt;
}

export type Lookup =
  | { state: 'unknown' }
  | { state: 'running' }
  | { state: 'done'; answer: StoredAnswer }
  /** The same payment for another body; `running`: how that one ends is not known yet. */
  | { state: 'other-body'; running: boolean };

export interface Outcomes {
  find: (payment: string, bodyHash: string) => Lookup;
  begin: (payment: string, bodyHash: string) => void;
  /** Keeps the answer for a while, if it is small enough. */
  finish: (payment: string, answer: StoredAnswer) => void;
  /** The request failed or its answer was not kept. */
  forget: (payment: string) => void;
}

interface Row {
  bodyHash: string;
  answer?: StoredAnswer;
  until: number;
}

export function createOutcomes(parts: { clock: Clock }): Outcomes {
  const { clock } = parts;
  /** In insertion order, which is also the order of expiry. */
  const rows = new Map<string, Row>();
  let bytes = 0;

  function drop(payment: string): void {
    const row = rows.get(payment);
    if (!row) return;
    bytes -= row.answer ? Buffer.byteLength(row.answer.body) : 0;
    rows.delete(payment);
  }

  function tidy(): void {
    for (const [payment, row] of rows) {
      if (!row.answer) continue;
      if (row.until > clock.monotonic() && bytes <= LIMITS.outcome.bytesMax) break;
      drop(payment);
    }
  }

  return {
    find: (payment, bodyHash) => {
      tidy();
      const row = rows.get(payment);
      if (!row) return { state: 'unknown' };
      if (row.bodyHash !== bodyHash) return { state: 'other-body', running: row.answer === undefined };
      return row.answer ? { state: 'done', answer: row.answer } : { state: 'running' };
    },
    begin: (payment, bodyHash) => {
      rows.set(payment, { bodyHash, until: Infinity });
    },
    finish: (payment, answer) => {
      const row = rows.get(payment);
      if (!row) return;
      rows.delete(payment);
      const size = Buffer.byteLength(answer.body);
      if (size > LIMITS.outcome.entryBytesMax) return;
      bytes += size;
      rows.set(payment, { ...row, answer, until: clock.monotonic() + LIMITS.outcome.keepMs });
      tidy();
    },
    forget: drop,
  };
}

async function* oneChunk(body: Body): AsyncGenerator<Body> {
  yield body;
}

/**
 * A complete answer as the pipeline gives it. `replayed`: it was paid for before. Its symbol is set apart, because V8
 * calls into its runtime for a computed key of a literal, which is some 3 % of a whole paid request.
 */
export function storedAnswer(
  { status, contentType, body, receipt }: StoredAnswer,
  replayed: boolean,
): Answer {
  const answer: Omit<Answer, typeof Symbol.asyncDispose> & Partial<AsyncDisposable> = {
    status,
    contentType,
    whole: body,
    chunks: oneChunk(body),
    receipt: Promise.resolve(receipt),
    replayed,
  };
  answer[Symbol.asyncDispose] = nothingLeft;
  return answer as Answer;
}

const nothingLeft = (): Promise<void> => Promise.resolve();
