/** Weather of the kill loop: a mint that loses questions and answers, is slow, and pays late or not at all. */
import type { MintFault, TestMint } from '../../src/demo/mint.ts';

export interface Weather {
  /** From now on nothing goes wrong, and what was under way arrives. */
  clear: () => void;
}

/** Mints answer a lost question with silence and a lost answer after the work; both break the connection. */
const FAULTS: readonly MintFault[] = ['drop-before', 'drop-after', 'land-late', 'status-500', 'bad-json'];
const PATHS = ['/v1/swap', '/v1/mint', '/v1/melt', '/v1/checkstate', '/v1/restore'];
const TICK_MS = 250;

export function createWeather(mint: TestMint, random: () => number): Weather {
  const chance = (probability: number): boolean => random() < probability;
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;

  function change(): void {
    // What was ordered and met nobody passes: piled up, it would keep a node away that asks a failing mint ever less.
    if (chance(0.25)) mint.calm();
    if (chance(0.3)) mint.failNext(pick(FAULTS), { path: pick(PATHS) });
    if (chance(0.1)) mint.slow(random() * 400, pick(PATHS));
    if (chance(0.3)) mint.slow(0);
    if (chance(0.2)) mint.meltNext(chance(0.6) ? 'pending' : 'failed');
    if (chance(0.2)) mint.setRoute({ fee: Math.floor(random() * 3), reserve: 2 + Math.floor(random() * 3) });
    if (chance(0.3)) mint.settleMelts(chance(0.7) ? 'paid' : 'failed');
    if (chance(0.5)) mint.landLate();
  }
  const timer = setInterval(change, TICK_MS);

  return {
    clear: () => {
      clearInterval(timer);
      mint.calm();
      mint.landLate();
      mint.settleMelts('paid');
    },
  };
}
