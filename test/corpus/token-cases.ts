/** How rows about tokens are written: tokens that no honest wallet would make, and the doors they are tried at. */
import type { Token } from '@cashu/cashu-ts';
import { bearer } from '../e2e/support.ts';
import { type Answer, type Case, type Stage, ask, tokenA, tokenB } from './kit.ts';

type Make = string | ((s: Stage) => string | Promise<string>);
export type Proof = Token['proofs'][number];

const made = async (s: Stage, make: Make): Promise<string> => {
  const token = typeof make === 'string' ? make : await make(s);
  // A text this short may stand in a log for other reasons.
  return token.length > 40 ? s.secret(token) : token;
};
export const create = (s: Stage, token: string): Promise<Answer> =>
  s.post('/v1/wallet/create', { cashu_token: token });

/** Refused in the same way by every door: a new key, a bearer, a one-shot payment. */
export async function everywhere(s: Stage, token: string): Promise<Answer> {
  const answers = [
    await s.get('/v1/wallet/info', bearer(token)),
    await s.post('/v1/chat/completions', ask(), { 'x-cashu': token }),
    await create(s, token),
  ];
  const codes = new Set(answers.map(({ status, json }) => `${status} ${json?.error?.code}`));
  if (codes.size !== 1) throw new Error(`the doors differ: ${[...codes].join(', ')}`);
  if (answers.some(({ header }) => header('x-cashu') !== undefined))
    throw new Error('something was handed out');
  return answers[0] as Answer;
}
export const refused = (what: string, make: Make, ...expected: Case['expected']): Case => ({
  what,
  ask: async (s) => everywhere(s, await made(s, make)),
  expected,
});
/** For texts that do not fit a header, and for those that the mint has to judge. */
export const created = (
  what: string,
  make: Make,
  expected: Case['expected'],
  moves: Case['moves'] = 'nothing',
): Case => ({
  what,
  ask: async (s) => create(s, await made(s, make)),
  expected,
  moves,
});

export const fields = (
  { mint, unit, proofs }: Token,
  over: object = {},
  change: (proof: Proof) => object = () => ({}),
) => ({
  token: [
    { mint, proofs: proofs.map((proof) => ({ ...proof, amount: Number(proof.amount), ...change(proof) })) },
  ],
  unit,
  ...over,
});
/** One proof of eight sats in version A, with something else in it. */
export const spoilt =
  (change: (proof: Proof) => object) =>
  async (s: Stage): Promise<string> =>
    tokenA(fields(await s.parts(8), {}, change));
/** With a number in place of each amount that JSON.stringify cannot write. */
export const amount = (text: string) => async (s: Stage) =>
  tokenA(JSON.stringify(fields(await s.parts(10))).replace(/"amount":\d+/g, `"amount":${text}`));
export const ofMint = (mint: string | ((s: Stage) => string)) => async (s: Stage) =>
  tokenB({ ...(await s.parts(10)), mint: typeof mint === 'string' ? mint : mint(s) });
export const cbor = (hex: string): string => `cashuB${Buffer.from(hex, 'hex').toString('base64url')}`;
export const locked = (kind: string, tags: string[][] = []) =>
  spoilt(() => ({ secret: JSON.stringify([kind, { nonce: 'a', data: `02${'a'.repeat(64)}`, tags }]) }));

export const INVALID = [400, 'invalid_cashu_token'] as const;
export const UNTRUSTED = [400, 'untrusted_mint'] as const;
