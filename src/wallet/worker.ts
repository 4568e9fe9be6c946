/** Worker thread of the wallet: does curve arithmetic in order of urgency, so that the main thread never stalls. */
import { parentPort, workerData } from 'node:worker_threads';
import { createCurveWork, type CurveJob, type CurveResult } from './curve-work.ts';

/** 0: someone waits for it. 1: someone will soon. 2: nobody waits. */
export type Lane = 0 | 1 | 2;
export interface CurveRequest {
  id: number;
  lane: Lane;
  job: CurveJob;
}
export type CurveReply = { id: number; result: CurveResult } | { id: number; failed: string };

const port = parentPort;
if (port !== null) {
  const work = createCurveWork((workerData as { seed: Uint8Array }).seed);
  const lanes: [CurveRequest[], CurveRequest[], CurveRequest[]] = [[], [], []];
  let scheduled = false;

  const answer = (request: CurveRequest): CurveReply => {
    try {
      return { id: request.id, result: work.run(request.job) };
    } catch (error) {
      // Not errorKind(): its room brings the log library, which would double the time until the first payment.
      return { id: request.id, failed: error instanceof Error ? error.name : 'unknown' };
    }
  };
  // One piece of work per turn: requests that arrive meanwhile can overtake less urgent ones.
  const turn = (): void => {
    const request = lanes[0].shift() ?? lanes[1].shift() ?? lanes[2].shift();
    scheduled = request !== undefined;
    if (request !== undefined) port.postMessage(answer(request));
    else scheduled = work.idle();
    if (scheduled) setImmediate(turn);
  };
  port.on('message', (request: CurveRequest) => {
    lanes[request.lane].push(request);
    if (scheduled) return;
    scheduled = true;
    setImmediate(turn);
  });
}
