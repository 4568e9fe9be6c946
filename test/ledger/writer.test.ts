/** What goes to the disk together, and when: groups as the writer hands them to the database. */
import { expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createWriter } from '../../src/ledger/writer.ts';

/** A writer over a database that keeps each group's lines, and a clock whose sleepers wake when they are told to. */
function writing() {
  const groups: string[][] = [];
  const batches: [string, string][][] = [];
  const noted: number[] = [];
  const sleepers: { ms: number; wake: () => void }[] = [];
  let disk = Promise.resolve();
  let n = 0;
  const put = async (_key: string, value: string): Promise<void> => {
    await disk;
    groups.push(value.split('\n').slice(1));
  };
  const batch = () => {
    const puts: [string, string][] = [];
    return {
      put: (...one: [string, string]) => puts.push(one),
      write: async () => {
        batches.push(puts);
        await put(...puts.at(-1)!);
      },
    };
  };
  const writer = createWriter({
    db: { put, batch } as never,
    witness: {
      copy: undefined,
      note: ({ n: last }) => {
        expect(groups.flat()).toHaveLength(last);
        noted.push(last);
      },
    },
    head: { n: 0, hash: '' },
    checkpoint: () => [{ type: 'put', key: 'rows', value: `the fold of ${n}` }],
    onCheckpoint: () => undefined,
    onPoison: () => undefined,
    clock: {
      now: Date.now,
      monotonic: Date.now,
      sleep: (ms) => new Promise((wake) => sleepers.push({ ms, wake })),
    },
    log: silentLogger,
  });
  return {
    writer,
    groups,
    batches,
    noted,
    sleepers,
    add: (line: string, patient?: boolean) => writer.append(line, ++n, patient),
    /** Until it is told to go on, the disk writes nothing. */
    stop: () => {
      let goOn: () => void = () => undefined;
      disk = new Promise((resolve) => (goOn = resolve));
      return goOn;
    },
  };
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};
const PATIENT = true;

test('a patient entry goes to the disk with the next one that is not, in their order', async () => {
  const { add, groups } = writing();
  const held = add('hold 1', PATIENT);
  void add('hold 2', PATIENT);
  await turns();
  expect(groups).toEqual([]);
  await add('settle 1');
  await held;
  expect(groups).toEqual([['hold 1', 'hold 2', 'settle 1']]);
});

test('a patient entry that stays alone is written after its time, and the next one gets as much', async () => {
  const { add, groups, sleepers } = writing();
  const first = add('hold 1', PATIENT);
  expect(sleepers.map(({ ms }) => ms)).toEqual([LIMITS.ledger.holdWaitMs]);
  sleepers[0]!.wake();
  await first;
  expect(groups).toEqual([['hold 1']]);

  void add('hold 2', PATIENT);
  await add('settle 1');
  void add('hold 3', PATIENT);
  expect(sleepers).toHaveLength(2);
  sleepers[1]!.wake();
  await turns();
  // The sleeper was set for hold 2: hold 3 has not waited yet.
  expect(groups).toHaveLength(2);
  expect(sleepers).toHaveLength(3);
  sleepers[2]!.wake();
  await turns();
  expect(groups).toEqual([['hold 1'], ['hold 2', 'settle 1'], ['hold 3']]);
});

test('patient entries are written at once when somebody waits for them', async () => {
  for (const ask of ['hurry', 'flushed'] as const) {
    const { add, groups, writer } = writing();
    const held = add('hold', PATIENT);
    void writer[ask]();
    await held;
    expect(groups).toEqual([['hold']]);
  }
});

test('what comes while a group is being written is the next group, and a full one does not wait', async () => {
  const { add, groups, stop, writer } = writing();
  const goOn = stop();
  void add('settle 1');
  await turns();
  void add('hold 2', PATIENT);
  const second = add('settle 2');
  for (let i = 0; i < LIMITS.ledger.groupEntriesMax; i++) void add(`hold ${i}`, PATIENT);
  goOn();
  await second;
  await turns();
  expect(groups.map(({ length }) => length)).toEqual([1, LIMITS.ledger.groupEntriesMax]);
  expect(writer.queued()).toBe(2);
  void add('settle 3');
  await writer.flushed();
  expect(groups.at(-1)).toHaveLength(3);
  expect(writer.queued()).toBe(0);
});

test('a group that is full is written although all of it is patient', async () => {
  const { add, groups, noted } = writing();
  for (let i = 0; i <= LIMITS.ledger.groupEntriesMax; i++) void add(`hold ${i}`, PATIENT);
  await turns();
  expect(groups.map(({ length }) => length)).toEqual([LIMITS.ledger.groupEntriesMax]);
  await add('settle 0');
  expect(groups.at(-1)).toEqual([`hold ${LIMITS.ledger.groupEntriesMax}`, 'settle 0']);
  expect(noted).toEqual([LIMITS.ledger.groupEntriesMax, LIMITS.ledger.groupEntriesMax + 2]);
});

test('patient entries fail with all others once a write has failed', async () => {
  const { add, groups, writer } = writing();
  const held = add('hold', PATIENT);
  writer.poison(new Error('no space'));
  await expect(held).rejects.toMatchObject({ code: 'storage_unavailable' });
  writer.hurry();
  await turns();
  expect(groups).toEqual([]);
});

test('a writer that ends takes the patient entries along, in the batch of its checkpoint', async () => {
  const { add, groups, batches, writer } = writing();
  const held = add('hold', PATIENT);
  await writer.finish();
  await held;
  expect(groups).toEqual([['hold']]);
  expect(batches.map((puts) => puts.map(([key, value]) => (key === 'rows' ? value : 'group')))).toEqual([
    ['the fold of 1', 'group'],
  ]);
});

test('after a large group the next one takes along what the next turns of the loop bring', async () => {
  const { add, groups } = writing();
  const crowd = (name: string, size: number): Promise<void>[] =>
    Array.from({ length: size }, (_, at) => add(`${name} ${at}`));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const sizes = () => groups.map(({ length }) => length);

  await Promise.all(crowd('first', LIMITS.ledger.crowdEntries));
  const late: Promise<void>[] = [];
  for (let at = 0; at < LIMITS.ledger.gatherTurnsMax + 2; at++) {
    late.push(add(`late ${at}`));
    await turn();
  }
  await Promise.all(late);
  const [, second = 0, ...rest] = sizes();
  // Bounded: entries that keep coming do not keep those before them waiting.
  expect(second).toBeGreaterThan(1);
  expect(second).toBeLessThanOrEqual(LIMITS.ledger.gatherTurnsMax + 1);
  expect(rest.length).toBeGreaterThan(0);
});

test('a small group does not wait for those that come after it', async () => {
  const { add, groups } = writing();
  await add('first');
  const second = add('second');
  await new Promise((resolve) => setImmediate(resolve));
  void add('third');
  await second;
  expect(groups).toEqual([['first'], ['second']]);
});
