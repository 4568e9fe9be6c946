import fc from 'fast-check';
import { expect, test } from 'vitest';
import { msat } from '../../src/base/money.ts';
import { chargedCost } from '../../src/gateway/bill.ts';

test('what the balance could not pay is struck off, and the parts still add up to what was charged', () => {
  const part = fc.nat(1_000_000);
  fc.assert(
    fc.property(
      part,
      part,
      part,
      fc.double({ min: 0, max: 1, noNaN: true }),
      (base, input, output, share) => {
        const total = base + input + output;
        const charged = msat(Math.floor(total * share));
        const cost = chargedCost(
          { base: msat(base), input: msat(input), output: msat(output), total: msat(total) },
          charged,
          1_000_000,
        );
        expect(cost.total).toBe(charged);
        expect(cost.base + cost.input + cost.output).toBe(charged);
        expect(Math.min(cost.base, cost.input, cost.output)).toBeGreaterThanOrEqual(0);
      },
    ),
  );
});

test('dollars follow the rate, and are 0 where none is known', () => {
  const cost = { base: msat(0), input: msat(500_000), output: msat(500_000), total: msat(1_000_000) };
  expect(chargedCost(cost, cost.total, 1_000_000).totalUsd).toBe(1);
  expect(chargedCost(cost, cost.total, undefined).totalUsd).toBe(0);
});
