import { expect, test } from 'vitest';
import { acceptedMints } from '../../src/gateway/shelves.ts';
import type { Unit } from '../../src/base/money.ts';

test('a refusal names each mint once, and none that the node would refuse', () => {
  const mint = (url: string, unit: Unit, quarantined = false) => ({
    url,
    unit,
    quarantined,
    reachable: true,
  });
  const mints = [
    mint('https://a.test', 'sat'),
    mint('https://a.test', 'msat'),
    mint('https://b.test', 'sat', true),
    mint('https://c.test', 'sat'),
  ];
  expect(acceptedMints({ mints: () => mints })).toEqual(['https://a.test', 'https://c.test']);
});
