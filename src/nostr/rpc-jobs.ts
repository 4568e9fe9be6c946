/** Requests under way, and the answers of those that ended lately, in memory and within a bound. */
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type { DataFrame, NodeFrame, RequestFrame } from '../protocol/dmi.ts';
import type { Line } from './rpc-line.ts';

export interface LiveJob {
  readonly key: string;
  readonly sender: string;
  readonly hash: string;
  readonly frame: RequestFrame;
  readonly line: Line;
  readonly stop: AbortController;
  /** Data frames so far, and the last frames once there are. */
  data: DataFrame[];
  final: NodeFrame[] | undefined;
  /** Msat that were set aside for it, once they are. */
  estMsat: number | undefined;
  bytes: number;
  endedAt: number;
  /** How often it was asked for again, and when last. */
  again: number;
  againAt: number;
}

export interface Jobs {
  get: (key: string) => LiveJob | undefined;
  /** `busy`: too many of this sender, or of all. */
  begin: (job: Pick<LiveJob, 'key' | 'sender' | 'hash' | 'frame' | 'line'>) => LiveJob | 'busy';
  keep: (job: LiveJob, frame: DataFrame) => void;
  end: (job: LiveJob, final: NodeFrame[]) => void;
  drop: (job: LiveJob) => void;
  /** True if it may be told once more now. */
  mayRepeat: (job: LiveJob) => boolean;
  running: () => LiveJob[];
}

export function createJobs({ clock }: { clock: Clock }): Jobs {
  const { perSenderMax, runningMax, keepMs, keptBytesMax, againMax, againMs } = LIMITS.dmi;
  const jobs = new Map<string, LiveJob>();
  let bytes = 0;
  const running = (): LiveJob[] => [...jobs.values()].filter(({ final }) => final === undefined);

  function drop(job: LiveJob): void {
    if (jobs.get(job.key) !== job) return;
    jobs.delete(job.key);
    bytes -= job.bytes;
  }
  function grow(job: LiveJob, by: number): void {
    job.bytes += by;
    bytes += by;
    for (const old of jobs.values()) {
      const over = bytes > keptBytesMax;
      if (old.final !== undefined && (over || clock.monotonic() - old.endedAt > keepMs)) drop(old);
    }
  }

  return {
    get: (key) => jobs.get(key),
    begin: (parts) => {
      const now = running();
      const own = now.filter(({ sender }) => sender === parts.sender).length;
      if (own >= perSenderMax || now.length >= runningMax) return 'busy';
      const job: LiveJob = {
        ...parts,
        stop: new AbortController(),
        data: [],
        final: undefined,
        estMsat: undefined,
        bytes: 0,
        endedAt: 0,
        again: 0,
        againAt: -Infinity,
      };
      jobs.set(job.key, job);
      return job;
    },
    keep: (job, frame) => {
      job.data.push(frame);
      grow(job, (frame.d ?? frame.z ?? '').length + 100);
    },
    end: (job, final) => {
      job.final = final;
      job.endedAt = clock.monotonic();
      grow(job, JSON.stringify(final).length);
    },
    drop,
    mayRepeat: (job) => {
      const now = clock.monotonic();
      if (job.again >= againMax || now - job.againAt < againMs) return false;
      job.again += 1;
      job.againAt = now;
      return true;
    },
    running,
  };
}
