/** FloodGate: how much of what one relay sends is read. What is above the bound is dropped unread and counted. */
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';

export interface FloodGate {
  /** `rest` is a drop after which the socket should be left unread for LIMITS.relay.floodRestMs. */
  admit: (message: Buffer) => 'read' | 'drop' | 'rest';
  /** Messages dropped since the start. */
  dropped: () => number;
}

/** Lives as long as the link, so that a relay does not get a new allowance by dropping the connection. */
export function createFloodGate(clock: Clock): FloodGate {
  const { floodBurst, floodPerSecond, floodUnitBytes, floodRestEvery } = LIMITS.relay;
  // Answers to our own frames have their own allowance, so that a flood of events does not hide them.
  const events = allowance();
  const answers = allowance();
  let dropped = 0;

  function allowance(): (cost: number) => boolean {
    let left: number = floodBurst;
    let countedAt = clock.monotonic();
    return (cost) => {
      const now = clock.monotonic();
      left = Math.min(floodBurst, left + ((now - countedAt) / 1_000) * floodPerSecond);
      countedAt = now;
      if (left < cost) return false;
      left -= cost;
      return true;
    };
  }

  return {
    admit: (message) => {
      const take = message.subarray(0, EVENT.length).equals(EVENT) ? events : answers;
      if (take(Math.max(1, message.length / floodUnitBytes))) return 'read';
      dropped += 1;
      return dropped % floodRestEvery === 0 ? 'rest' : 'drop';
    },
    dropped: () => dropped,
  };
}

/** Relays write their frames without spaces; one that does not spends the other allowance. */
const EVENT = Buffer.from('["EVENT"');
