/** What the tests of the Nostr rooms share: clocks, a memory store, sample announcements, real relays on loopback. */
import { msat, ZERO } from '../../src/base/money.ts';
import { silentLogger } from '../../src/base/log.ts';
import { type Clock, systemClock } from '../../src/base/time.ts';
import { createTestRelay, type TestRelay } from '../../src/demo/relay.ts';
import type { ValueStore } from '../../src/nostr/created-at.ts';
import type { AnnouncedModel, Announcement } from '../../src/protocol/announcement.ts';
import { verifyEvent } from '../../src/relay/event.ts';
import { generateNsec, nodeKey } from '../../src/relay/key.ts';
import type { NodeKey, RelayConfig, RelaySet } from '../../src/relay/relay.ts';
import { createRelaySet } from '../../src/relay/set.ts';

/** Waits and durations pass `factor` times as fast; the wall clock is the real one. */
export function hurried(factor: number): Clock {
  return {
    now: systemClock.now,
    monotonic: () => systemClock.monotonic() * factor,
    sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
  };
}

/** Bounds are five times as long: on a busy machine what is only slow must not look like silence. */
export const patientClock: Clock = hurried(0.2);

/** Makes every back-off a 256th of its bound, so that reconnecting takes no time and no clock must be hurried. */
export const hasty = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(1);

export interface ManualClock extends Clock {
  /** Moves both clocks and wakes who is due, letting real I/O happen in between. */
  advance: (ms: number) => Promise<void>;
  /** Sets the wall clock alone, also backwards. */
  setWall: (ms: number) => void;
}

export function manualClock(startMs = Date.now()): ManualClock {
  let wall = startMs;
  let mono = 0;
  const sleepers = new Set<{ at: number; wake: () => void }>();
  return {
    now: () => wall,
    monotonic: () => mono,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const sleeper = { at: mono + ms, wake: () => undefined as void };
        const done = (): void => {
          sleepers.delete(sleeper);
          signal?.removeEventListener('abort', done);
          resolve();
        };
        sleeper.wake = done;
        sleepers.add(sleeper);
        signal?.addEventListener('abort', done, { once: true });
      }),
    advance: async (ms) => {
      await settle();
      const end = mono + ms;
      for (;;) {
        const next = [...sleepers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        wall += Math.max(0, next.at - mono);
        mono = Math.max(mono, next.at);
        next.wake();
        await settle();
      }
      wall += end - mono;
      mono = end;
      await settle();
    },
    setWall: (ms) => {
      wall = ms;
    },
  };
}

/** Lets promises and loopback sockets make progress. */
export async function settle(turns = 15): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export async function until(condition: () => boolean, what = 'the condition'): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`waited in vain for ${what}`);
}

export function memoryStore(
  values = new Map<string, string>(),
): ValueStore & { values: Map<string, string> } {
  return {
    values,
    get: (key) => values.get(key),
    put: async (key, value) => {
      await settle(1);
      values.set(key, value);
    },
  };
}

export const newKey = (): NodeKey => nodeKey(generateNsec());

export const model = (id: string, input = 150_000, output = 600_000): AnnouncedModel => ({
  id,
  in: msat(input),
  out: msat(output),
  ctx: 128_000,
  maxOut: 16_384,
  io: 'ti',
});

export const announcement = (changes: Partial<Announcement> = {}): Announcement => ({
  d: 'node-1',
  status: 'online',
  urls: ['https://ai.example.com'],
  mints: [{ url: 'https://mint.example.com', unit: 'sat' }],
  version: '1.0.0',
  name: 'My node',
  about: 'Fast inference, paid in sats',
  heartbeatSeconds: 3_600,
  models: [model('gpt-4o-mini')],
  requestMsat: ZERO,
  minimumMsat: ZERO,
  ...changes,
});

/** Disposes relays and sets in the order in which they were made, last first. */
export function openings() {
  const closers: (() => Promise<void>)[] = [];
  return {
    relay: async (options: Parameters<typeof createTestRelay>[0] = {}): Promise<TestRelay> => {
      const relay = await createTestRelay({
        verify: (event) => verifyEvent(event) !== undefined,
        ...options,
      });
      closers.push(relay.close);
      return relay;
    },
    set: (
      relays: (TestRelay | RelayConfig)[],
      options: Partial<Parameters<typeof createRelaySet>[0]> = {},
    ): RelaySet => {
      const set = createRelaySet({
        clock: patientClock,
        log: silentLogger,
        ...options,
        relays: relays.map((relay) => ('roles' in relay ? relay : entry(relay.url))),
      });
      closers.push(set.close);
      return set;
    },
    onClose: (close: () => Promise<void>): void => void closers.push(close),
    close: async (): Promise<void> => {
      for (const close of closers.splice(0).reverse()) await close();
    },
  };
}

export const entry = (url: string, more: Partial<RelayConfig> = {}): RelayConfig => ({
  url,
  roles: ['announce', 'discover'],
  perMinute: 6_000,
  burst: 100,
  ...more,
});
