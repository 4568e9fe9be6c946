/** A mint without curves: NUT-03, NUT-07, NUT-09 and NUT-19 as books, with the truth about every sat it signed. */
import { LIMITS } from '../../src/base/limits.ts';
import type { MintAnswer } from '../../src/wallet/mint-http.ts';
import type { InputProof } from '../../src/wallet/wallet.ts';
import type { VirtualTime } from './time.ts';

export interface SimKeyset {
  id: string;
  feePpk: number;
  active: boolean;
}
interface Output {
  id: string;
  amount: number;
  B_: string;
}
/** What can go wrong with one request. `late`: no answer in time, and the mint carries it out after that. */
export type MintMood = 'fine' | 'before' | 'after' | 'late' | 'limited' | 'error' | 'lie';

export interface SimMint {
  url: string;
  keysets: SimKeyset[];
  active: () => SimKeyset;
  rotate: (feePpk: number) => void;
  issue: (amounts: readonly number[]) => InputProof[];
  post: (path: string, body: string) => Promise<MintAnswer>;
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
export const blindedOf = (secret: string): string => `b_${secret}`;
export const yOf = (secret: string): string => `y_${secret}`;

export function createSimMint(parts: {
  name: string;
  feePpk: number;
  /** Repeats the answer to an identical request (NUT-19). */
  caches: boolean;
  time: VirtualTime;
  random: () => number;
  mood: (path: string, ofNode: boolean) => MintMood;
}): SimMint {
  const { name, caches, time, random, mood } = parts;
  const keysets: SimKeyset[] = [];
  const signed = new Map<string, Output>();
  const spent = new Set<string>();
  const cache = new Map<string, MintAnswer>();
  let outstanding = 0;
  let issued = 0;
  let lies = 0;

  function addKeyset(feePpk: number): void {
    for (const keyset of keysets) keyset.active = false;
    const number = keysets.length.toString(16).padStart(12, '0');
    keysets.push({ id: `00${name}${number}`, feePpk, active: true });
  }
  addKeyset(parts.feePpk);
  const active = (): SimKeyset => keysets.at(-1) as SimKeyset;
  const keysetOf = (id: string): SimKeyset | undefined => keysets.find((keyset) => keyset.id === id);
  const feeOf = (proofs: readonly { id: string }[]): number =>
    Math.ceil(proofs.reduce((sum, { id }) => sum + (keysetOf(id)?.feePpk ?? 0), 0) / 1000);
  const isSigned = ({ secret, amount }: { secret: string; amount: number }): boolean =>
    signed.get(blindedOf(secret))?.amount === amount;
  const sumOf = (items: readonly { amount: number }[]): number =>
    items.reduce((sum, { amount }) => sum + amount, 0);

  const refused = (code: number): MintAnswer => ({ kind: 'refused', code });
  const answered = (outputs: readonly Output[]): { id: string; amount: number; C_: string }[] =>
    outputs.map(({ id, amount }) => ({ id, amount, C_: POINT }));

  function swap(inputs: InputProof[], outputs: Output[]): MintAnswer {
    if (inputs.some(({ secret }) => spent.has(secret))) return refused(11001);
    if (!inputs.every(isSigned)) return refused(10001);
    if (outputs.some(({ id }) => keysetOf(id) === undefined)) return refused(12001);
    if (outputs.some(({ id }) => keysetOf(id)?.active !== true)) return refused(12002);
    if (outputs.some(({ B_ }) => signed.has(B_))) return refused(11003);
    if (sumOf(inputs) - feeOf(inputs) !== sumOf(outputs)) return refused(11005);
    for (const { secret } of inputs) spent.add(secret);
    for (const output of outputs) signed.set(output.B_, output);
    outstanding += sumOf(outputs) - sumOf(inputs);
    return { kind: 'ok', body: { signatures: answered(outputs) } };
  }

  function carryOut(path: string, body: string): MintAnswer {
    const request = JSON.parse(body) as { inputs: InputProof[]; outputs: Output[]; Ys: string[] };
    if (path === '/v1/checkstate') {
      const stateOf = (Y: string) => (spent.has(Y.slice(2)) ? 'SPENT' : 'UNSPENT');
      return { kind: 'ok', body: { states: request.Ys.map((Y) => ({ Y, state: stateOf(Y) })) } };
    }
    if (path === '/v1/restore') {
      const outputs = request.outputs.filter(({ B_ }) => signed.has(B_));
      const signatures = answered(outputs.map(({ B_ }) => signed.get(B_) as Output));
      return { kind: 'ok', body: { outputs, signatures } };
    }
    const known = cache.get(body);
    if (known !== undefined) return known;
    const answer = swap(request.inputs, request.outputs);
    if (caches && answer.kind === 'ok') cache.set(body, answer);
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

  return {
    url: `https://${name}.test`,
    keysets,
    active,
    rotate: addKeyset,
    issue: (amounts) =>
      amounts.map((amount) => {
        const secret = `i:${name}:${issued++}`;
        signed.set(blindedOf(secret), { id: active().id, amount, B_: blindedOf(secret) });
        outstanding += amount;
        return { id: active().id, amount, secret, C: POINT };
      }),
    post: async (path, body) => {
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
    },
    outstanding: () => outstanding,
    isGood: (proof) => isSigned(proof) && !spent.has(proof.secret),
    wasGood: isSigned,
    feeOf,
    lies: () => lies,
  };
}
