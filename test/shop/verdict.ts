/** Verdict: what was found wrong, counted by kind, and how often something was asked and promised. */

export type Fault = 'lost' | 'duplicated' | 'unresolved';

export interface Verdict {
  asked: number;
  /** Answers that promised something about money. */
  acked: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly unresolved: number;
  found: (fault: Fault, what: string) => void;
  /** The first findings, in words. */
  findings: string[];
}

const FINDINGS_KEPT = 50;

export function createVerdict(): Verdict {
  const counts = { lost: 0, duplicated: 0, unresolved: 0 };
  const findings: string[] = [];
  return {
    asked: 0,
    acked: 0,
    get lost() {
      return counts.lost;
    },
    get duplicated() {
      return counts.duplicated;
    },
    get unresolved() {
      return counts.unresolved;
    },
    findings,
    found: (fault, what) => {
      counts[fault] += 1;
      if (findings.length < FINDINGS_KEPT) findings.push(`${fault}: ${what}`);
    },
  };
}
