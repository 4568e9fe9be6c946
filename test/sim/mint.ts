/** A mint without curves: NUT-03, 04, 05, 07, 09 and 19 as books, with the truth about every sat it signed. */
import { LIMITS } from '../../src/base/limits.ts';
import type { MintAnswer } from '../../src/wallet/mint-http.ts';
import type { InputProof } from '../../src/wallet/wallet.ts';
import type { SimLightning } from './lightning.ts';
import { type Output, type SimKeyset, blindedOf, createMintBook, sumOf } from './mint-book.ts';
import { type MintQuotes, type Route, createMintQuotes } from './mint-quotes.ts';
import type { VirtualTime } from './time.ts';

/**
 * What can go wrong with one request. `late`: no answer in time, and the mint carries it out after that. `vague`: refused
 * with a code that explains nothing.
 */
export type MintMood = 'fine' | 'before' | 'after' | 'late' | 'limited' | 'error' | 'lie' | 'vague';

export interface SimMint {
  url: string;
  keysets: SimKeyset[];
  active: () => SimKeyset;
  rotate: (feePpk: number) => void;
  issue: (amounts: readonly number[]) => InputProof[];
  get: (path: string) => Promise<MintAnswer>;
  post: (path: string, body: string) => Promise<MintAnswer>;
  /** Quotes that were paid for and not minted. */
  unissued: MintQuotes['unissued'];
  /** Sats signed and not spent. */
  outstanding: () => number;
  isGood: (proof: { secret: string; amount: number }) => boolean;
  /** Signed by this mint, spent or not. */
  wasGood: (proof: { secret: string; amount: number }) => boolean;
  feeOf: (proofs: readonly { id: string }[]) => number;
  /** Swaps that the mint answered with other amounts than asked. */
  lies: () => number;
}

/** Any point of the curve: nobody looks at more than its form. */
const POINT = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798';
export const yOf = (secret: string): string => `y_${secret}`;

export function createSimMint(parts: {
  name: string;
  feePpk: number;
  /** Repeats the answer to an identical request (NUT-19). */
  caches: boolean;
  time: VirtualTime;
  random: () => number;
  lightning: SimLightning;
  mood: (path: string, ofNode: boolean) => MintMood;
  route: () => Route;
}): SimMint {
  const { name, caches, time, random, lightning, mood, route } = parts;
  const book = createMintBook(name);
  const quotes = createMintQuotes({ name, book, lightning, time, random, route, signature: POINT });
  const cache = new Map<string, MintAnswer>();
  let issued = 0;
  let lies = 0;

  book.addKeyset(parts.feePpk);

  const refused = (code: number): MintAnswer => ({ kind: 'refused', code });
  const answered = (outputs: readonly Output[]): { id: string; amount: number; C_: string }[] =>
    outputs.map(({ id, amount }) => ({ id, amount, C_: POINT }));

  function swap(inputs: InputProof[], outputs: Output[]): MintAnswer {
    const wrong = book.refuseInputs(inputs) ?? book.refuseOutputs(outputs);
    if (wrong !== undefined) return refused(wrong);
    if (sumOf(inputs) - book.feeOf(inputs) !== sumOf(outputs)) return refused(11005);
    book.spend(inputs);
    book.sign(outputs);
    return { kind: 'ok', body: { signatures: answered(outputs) } };
  }

  function carryOut(path: string, body: string): MintAnswer {
    if (path.includes('/quote/')) return quotes.carryOut(path, body) ?? refused(0);
    const request = JSON.parse(body) as { inputs: InputProof[]; outputs: Output[]; Ys: string[] };
    if (path === '/v1/checkstate') {
      const states = request.Ys.map((Y) => ({ Y, state: book.stateOf(Y.slice(2)) }));
      return { kind: 'ok', body: { states } };
    }
    if (path === '/v1/restore') {
      const outputs = request.outputs.filter(({ B_ }) => book.signed(B_) !== undefined);
      const signatures = answered(outputs.map(({ B_ }) => book.signed(B_) as Output));
      return { kind: 'ok', body: { outputs, signatures } };
    }
    const known = cache.get(path + body);
    if (known !== undefined) return known;
    const answer = quotes.carryOut(path, body) ?? swap(request.inputs, request.outputs);
    if (caches && answer.kind === 'ok') cache.set(path + body, answer);
    return answer;
  }

  function lie(answer: MintAnswer): MintAnswer {
    if (answer.kind !== 'ok') return answer;
    lies += 1;
    const { signatures } = answer.body as { signatures: { amount: number }[] };
    return {
      kind: 'ok',
      body: { signatures: signatures.map((one) => ({ ...one, amount: one.amount * 2 })) },
    };
  }

  async function ask(path: string, body: string): Promise<MintAnswer> {
    await time.sleep(2 + random() * 30);
    const today = mood(path, body.includes('"secret":"n:'));
    const lost: MintAnswer = { kind: 'failed', reason: 'timeout' };
    switch (today) {
      case 'before':
        await time.sleep(random() < 0.5 ? 1 : LIMITS.mint.timeoutMs);
        return lost;
      case 'after':
        carryOut(path, body);
        await time.sleep(random() < 0.5 ? 1 : LIMITS.mint.timeoutMs);
        return lost;
      case 'late':
        time.at(LIMITS.mint.timeoutMs + random() * 5_000, () => void carryOut(path, body));
        await time.sleep(LIMITS.mint.timeoutMs);
        return lost;
      case 'limited':
        return { kind: 'limited', retryAfterMs: 500 };
      case 'vague':
        return refused(11000);
      case 'error':
        return { kind: 'failed', reason: 'http_500' };
      case 'lie':
        return lie(carryOut(path, body));
      case 'fine': {
        const answer = carryOut(path, body);
        await time.sleep(1 + random() * 10);
        return answer;
      }
    }
  }

  return {
    url: `https://${name}.test`,
    keysets: book.keysets,
    active: book.active,
    rotate: book.addKeyset,
    issue: (amounts) =>
      amounts.map((amount) => {
        const secret = `i:${name}:${issued++}`;
        const { id } = book.active();
        book.sign([{ id, amount, B_: blindedOf(secret) }]);
        return { id, amount, secret, C: POINT };
      }),
    get: (path) => ask(path, ''),
    post: ask,
    outstanding: book.outstanding,
    unissued: quotes.unissued,
    isGood: (proof) => book.isSigned(proof) && book.stateOf(proof.secret) !== 'SPENT',
    wasGood: book.isSigned,
    feeOf: book.feeOf,
    lies: () => lies,
  };
}
