/** Waiting times of the announcer, spread at random so that nodes started together do not stay in step. */
import { hex, type Random } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';

/** 0 <= x < 1. */
const fraction = (random: Random): number => Number.parseInt(hex(random(4)), 16) / 2 ** 32;

/** Within ten percent of `ms`. */
export const jittered = (ms: number, random: Random): number => ms * (0.9 + 0.2 * fraction(random));

/** Full-jitter back-off, at least half a second because a link gives up its own first second alone. */
export const backoff = (failures: number, random: Random): number =>
  500 +
  fraction(random) *
    Math.min(LIMITS.relay.backoffMaxMs, LIMITS.relay.backoffBaseMs * 2 ** Math.min(failures, 20));
