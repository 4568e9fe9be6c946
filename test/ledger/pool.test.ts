import { expect, test } from 'vitest';
import type { AccountId } from '../../src/base/id.ts';
import { createPool } from '../../src/ledger/pool.ts';
import { KEYSET, MINT } from './fixture.ts';

const shelf = { mint: MINT, unit: 'sat' } as const;
const proof = (counter: number, amount: number) => ({
  keyset: KEYSET,
  counter,
  amount,
  blindSignature: `02${String(counter).padStart(64, '0')}`,
});

test('a proof is picked once, also where its owner needs those set aside for others', () => {
  const pool = createPool();
  const [mine, theirs] = [proof(0, 8), proof(1, 4)];
  for (const each of [mine, theirs]) pool.add({ ...shelf, ...each });
  pool.setAside('mine' as AccountId, [mine]);
  pool.setAside('theirs' as AccountId, [theirs]);
  expect(pool.pickExact(shelf, 12, 'mine' as AccountId)).toEqual([mine, theirs]);
  expect(pool.pickExact(shelf, 16, 'mine' as AccountId)).toBeUndefined();
  expect(pool.pickExact(shelf, 20, 'mine' as AccountId)).toBeUndefined();
});
