/** A payment whose mint repeats old answers: what counts is the quote. */
import { expect, test } from 'vitest';
import { systemClock } from '../../src/base/time.ts';
import type { MintAnswer } from '../../src/wallet/mint-http.ts';
import { meltRound } from '../../src/wallet/melt-round.ts';

/** Waits for nothing. */
const CLOCK = { ...systemClock, sleep: () => Promise.resolve() };
const Y = `03${'22'.repeat(32)}`;
const INPUT = { id: '00ad268c4d1f5826', amount: 8, secret: 'secret', C: `02${'11'.repeat(32)}` };

/** Answers a POST of the payment with what it said first (NUT-19), whatever became of it. */
function rememberingMint(quote: 'UNPAID' | 'PENDING' | 'PAID', proof: 'UNSPENT' | 'PENDING' | 'SPENT') {
  const ok = (body: unknown): Promise<MintAnswer> => Promise.resolve({ kind: 'ok', body });
  return {
    get: () => ok({ state: quote }),
    post: (path: string) =>
      path === '/v1/checkstate' ? ok({ states: [{ Y, state: proof }] }) : ok({ state: 'PENDING' }),
    reachable: () => true,
    close: () => undefined,
  };
}

const round = async (client: ReturnType<typeof rememberingMint>, firstAttempt: boolean) => {
  const { outcome } = await meltRound(
    {
      quote: 'q',
      inputs: [INPUT],
      blanks: { keyset: INPUT.id, counter: 0, amounts: [] },
      changeMost: 0,
      feeReserve: 0,
      firstAttempt,
      onlyAsk: false,
      patient: false,
    },
    { client, clock: CLOCK, blind: () => Promise.resolve([]), ys: () => Promise.resolve([Y]) },
  );
  return outcome.outcome;
};

test('a payment that is pending is waited for, at the first attempt and at any later one', async () => {
  expect(await round(rememberingMint('PENDING', 'PENDING'), true)).toBe('pending');
  expect(await round(rememberingMint('PENDING', 'PENDING'), false)).toBe('pending');
  expect(await round(rememberingMint('UNPAID', 'PENDING'), false)).toBe('pending');
});

test('a payment that is over does not stay pending because the mint repeats its first answer', async () => {
  expect(await round(rememberingMint('UNPAID', 'UNSPENT'), false)).toBe('unpaid');
  expect(await round(rememberingMint('PAID', 'SPENT'), false)).toBe('paid');
});

test('change that can be had a moment after its payment is called paid is not given up', async () => {
  const blank = `02${'33'.repeat(32)}`;
  const C_ = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798';
  const signed = { outputs: [{ B_: blank }], signatures: [{ id: INPUT.id, amount: 4, C_ }] };
  const never = { outcome: 'paid', change: [], short: 3 };
  const found = { outcome: 'paid', change: [{ index: 0, amount: 4, blindSignature: C_ }], short: 0 };
  const cases = [
    { restores: [], patient: false, expected: never },
    { restores: [], patient: true, expected: { outcome: 'owing' } },
    { restores: [signed], patient: false, expected: found },
    { restores: [signed], patient: true, expected: found },
  ];
  for (const { restores, patient, expected } of cases) {
    let looks = 0;
    const { outcome } = await meltRound(
      {
        quote: 'q',
        inputs: [INPUT],
        blanks: { keyset: INPUT.id, counter: 0, amounts: [0] },
        changeMost: 4,
        feeReserve: 1,
        firstAttempt: false,
        onlyAsk: false,
        patient,
      },
      {
        client: {
          ...rememberingMint('PAID', 'SPENT'),
          post: () => {
            const body = looks++ === 0 ? undefined : restores[0];
            return Promise.resolve({ kind: 'ok', body: body ?? { outputs: [], signatures: [] } });
          },
        },
        clock: CLOCK,
        blind: () => Promise.resolve([blank]),
        ys: () => Promise.resolve([Y]),
      },
    );
    expect(outcome).toEqual(expected);
  }
});
