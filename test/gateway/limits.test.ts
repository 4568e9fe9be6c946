import { expect, test } from 'vitest';
import { NodeError } from '../../src/base/error.ts';
import { createLoopBreaker } from '../../src/gateway/loop.ts';
import { createRateLimit } from '../../src/gateway/key-rate.ts';
import { fakeClock } from '../base/clock.ts';
import { accountOf } from '../ledger/fixture.ts';

const A = accountOf('a');
const B = accountOf('b');
const refusal = (act: () => void): [string, number | undefined] | 'admitted' => {
  try {
    act();
    return 'admitted';
  } catch (error) {
    if (error instanceof NodeError) return [error.code, error.options.retryAfterMs];
    throw error;
  }
};

test('a key may come in bursts, and then as often as its rate', async () => {
  const clock = fakeClock();
  const { admit } = createRateLimit({ perMinute: 60, clock });
  for (let i = 0; i < 6; i++) expect(refusal(() => admit(A))).toBe('admitted');
  expect(refusal(() => admit(A))).toEqual(['rate_limited', 1_000]);
  expect(refusal(() => admit(B))).toBe('admitted');
  await clock.advance(1_000);
  expect(refusal(() => admit(A))).toBe('admitted');
  expect(refusal(() => admit(A))).toEqual(['rate_limited', 1_000]);
  await clock.advance(3_600_000);
  for (let i = 0; i < 6; i++) expect(refusal(() => admit(A))).toBe('admitted');
  expect(refusal(() => admit(A))).not.toBe('admitted');
});

test('the eighth equal request within a minute is a loop; other bodies and other keys are not', async () => {
  const clock = fakeClock();
  const { admit } = createLoopBreaker({ identical: 8, clock });
  const same = Buffer.from('same');
  for (let i = 0; i < 7; i++) {
    expect(refusal(() => admit(A, same))).toBe('admitted');
    await clock.advance(1_000);
  }
  expect(refusal(() => admit(A, same))).toEqual(['loop_detected', 53_000]);
  expect(refusal(() => admit(A, Buffer.from('other')))).toBe('admitted');
  expect(refusal(() => admit(B, same))).toBe('admitted');
  await clock.advance(53_000);
  expect(refusal(() => admit(A, same))).toBe('admitted');
  expect(refusal(() => admit(A, same))).toEqual(['loop_detected', 1_000]);
});

test('both can be switched off', () => {
  const clock = fakeClock();
  const rate = createRateLimit({ perMinute: 0, clock });
  const loop = createLoopBreaker({ identical: 0, clock });
  for (let i = 0; i < 10_000; i++) {
    rate.admit(A);
    loop.admit(A, Buffer.from('same'));
  }
});
