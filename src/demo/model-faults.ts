/** Faults that a test orders from the echo model, and the waiting it can be told to do. */
import { systemClock } from '../base/time.ts';

export type ModelFault =
  | 'status-400'
  | 'status-401'
  | 'status-402'
  /** With `retry-after: 7`. */
  | 'status-429'
  | 'status-500'
  /** 200 with a web page, as login walls do. */
  | 'html-200'
  /** A well-formed answer that holds no output. */
  | 'empty'
  | 'no-usage'
  /** Negative token counts in one answer, absurd ones in the next. */
  | 'bad-usage'
  /** The stream ends cleanly, without finish_reason or [DONE]; a JSON answer breaks off in the middle. */
  | 'truncate'
  /** The socket is destroyed in the middle. */
  | 'cut'
  /** Never answered. */
  | 'hang'
  /** An error object in the middle of the stream. */
  | 'error-frame'
  /** Every byte is written by itself, lines end with CR LF. */
  | 'split';

export interface ModelFaults {
  failNext: (kind: ModelFault, times?: number) => void;
  /** Requests wait for `resume`. */
  pause: () => void;
  resume: () => void;
  /** Delay before the first byte. */
  slow: (ms: number) => void;
  /** Delay between the chunks of a stream. */
  chunkDelay: (ms: number) => void;
  /** Fault for this request, if one was ordered. */
  next: () => ModelFault | undefined;
  /** Waits out pause and slowness, or until the client is gone. */
  beforeAnswer: (gone: AbortSignal) => Promise<void>;
  beforeChunk: (gone: AbortSignal) => Promise<void>;
}

export function createModelFaults(): ModelFaults {
  const ordered: ModelFault[] = [];
  let firstByteMs = 0;
  let chunkMs = 0;
  let opened: Promise<void> | undefined;
  let open: () => void = () => undefined;

  return {
    failNext: (kind, times = 1) => {
      for (let i = 0; i < times; i++) ordered.push(kind);
    },
    pause: () => {
      opened ??= new Promise((resolve) => {
        open = resolve;
      });
    },
    resume: () => {
      open();
      opened = undefined;
    },
    slow: (ms) => {
      firstByteMs = ms;
    },
    chunkDelay: (ms) => {
      chunkMs = ms;
    },
    next: () => ordered.shift(),
    beforeAnswer: async (gone) => {
      if (opened !== undefined) await Promise.race([opened, aborted(gone)]);
      if (firstByteMs > 0) await systemClock.sleep(firstByteMs, gone);
    },
    beforeChunk: async (gone) => {
      if (chunkMs > 0) await systemClock.sleep(chunkMs, gone);
    },
  };
}

export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
