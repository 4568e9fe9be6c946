import { expect, test } from 'vitest';
import { LIMITS } from '../../src/base/limits.ts';
import { msat } from '../../src/base/money.ts';
import { createOutcomes } from '../../src/gateway/outcomes.ts';
import type { Receipt } from '../../src/gateway/request.ts';
import { fakeClock } from '../base/clock.ts';

const receipt = { balance: msat(0) } as Receipt;
const answer = (bytes: number) => ({
  status: 200,
  contentType: 'application/json',
  body: Buffer.alloc(bytes),
  receipt,
});

test('a payment runs, is answered, is answered again, and is forgotten after ten minutes', async () => {
  const clock = fakeClock();
  const outcomes = createOutcomes({ clock });
  expect(outcomes.find('pay', 'body').state).toBe('unknown');
  outcomes.begin('pay', 'body');
  expect(outcomes.find('pay', 'body').state).toBe('running');
  expect(outcomes.find('pay', 'other')).toEqual({ state: 'other-body', running: true });
  outcomes.finish('pay', answer(10));
  expect(outcomes.find('pay', 'body')).toMatchObject({ state: 'done' });
  expect(outcomes.find('pay', 'other')).toEqual({ state: 'other-body', running: false });
  await clock.advance(LIMITS.outcome.keepMs + 1);
  expect(outcomes.find('pay', 'body').state).toBe('unknown');
});

test('answers beyond the memory allowed push out the oldest, and giants are not kept at all', () => {
  const outcomes = createOutcomes({ clock: fakeClock() });
  const { entryBytesMax, bytesMax } = LIMITS.outcome;
  const count = bytesMax / entryBytesMax + 3;
  for (let i = 0; i < count; i++) {
    outcomes.begin(`pay${i}`, 'body');
    outcomes.finish(`pay${i}`, answer(entryBytesMax));
  }
  expect(outcomes.find('pay0', 'body').state).toBe('unknown');
  expect(outcomes.find(`pay${count - 1}`, 'body').state).toBe('done');
  outcomes.begin('giant', 'body');
  outcomes.finish('giant', answer(entryBytesMax + 1));
  expect(outcomes.find('giant', 'body').state).toBe('unknown');
});
