import { expect, test } from 'vitest';
import { anyChangeSplit } from '../../src/wallet/split.ts';

test('every change of every amount up to 2000 is an exact subset, found from the top', () => {
  for (let n = 0; n <= 2000; n++) {
    const amounts = anyChangeSplit(n);
    expect(amounts.reduce((sum, amount) => sum + amount, 0)).toBe(n);
    expect(amounts.every((amount) => Number.isInteger(Math.log2(amount)))).toBe(true);
    const fromTop = [...amounts].reverse();
    for (let change = 0; change <= n; change++) {
      let rest = change;
      for (const amount of fromTop) if (amount <= rest) rest -= amount;
      if (rest !== 0) throw new Error(`no change of ${change} from ${n}`);
    }
  }
});

test('the largest payment takes few proofs', () => {
  expect(anyChangeSplit(1_000_000).length).toBeLessThanOrEqual(40);
  expect(anyChangeSplit(1_000_000_000).length).toBeLessThanOrEqual(64);
});

test.each([-1, 0.5, NaN, 2 ** 53])('%s cannot be split', (n) => {
  expect(() => anyChangeSplit(n)).toThrow();
});
