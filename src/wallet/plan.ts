/** How to receive a token now: full keyset ids, the mint's fee, and outputs on its active keyset (NUT-02). */
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import type { KeysetInfo } from './keyset-check.ts';
import { unknownKeyset } from './keysets.ts';
import type { Mint } from './mints.ts';
import { anyChangeSplit } from './split.ts';
import type { InputProof, ReceivePlan, TokenInfo } from './wallet.ts';

/** Length of the short ids that V4 tokens carry instead of ids of version 01. */
const SHORT_ID_CHARS = 16;

export async function planReceive(info: TokenInfo, mint: Mint): Promise<ReceivePlan> {
  refuseQuarantined(mint);
  const { keysets } = mint;
  await keysets.load();
  const presented = info.proofs.reveal();
  if (presented.some((proof) => fullId(proof.id, mint) === undefined)) await keysets.refresh();
  refuseQuarantined(mint); // What it just said about its keysets may have been a lie.

  const inputs: InputProof[] = [];
  let ppk = 0;
  for (const { id, amount, secret, C } of presented) {
    const keyset = inputKeyset(id, info, mint);
    const keys = await keysets.keysOf(keyset.id);
    if (!Object.hasOwn(keys, String(amount))) {
      throw new NodeError('invalid_cashu_token', 'A proof has an amount for which the mint has no key.');
    }
    ppk += keyset.feePpk;
    inputs.push({ id: keyset.id, amount, secret, C });
  }
  const face = presented.reduce((total, proof) => total + proof.amount, 0);
  const fee = Math.ceil(ppk / 1000);
  if (face <= fee) {
    throw new NodeError(
      'cashu_token_swap_fees_exceed_amount',
      `The mint takes ${fee} ${info.unit} to swap this token of ${face} ${info.unit}. It is untouched.`,
    );
  }
  const active = keysets.active(info.unit);
  if (active?.keys === undefined) {
    if (keysets.active(info.unit, { evenExpiring: true }) !== undefined) {
      throw expiring(
        'The keyset on which the mint signs expires within the hour, and there is no newer one.',
      );
    }
    throw new NodeError('mint_unreachable', 'The mint has no keyset that signs new proofs. Retry later.');
  }
  const net = face - fee;
  return { keyset: active.id, fee, net, amounts: outputAmounts(net, active.keys), inputs };
}

function refuseQuarantined(mint: Mint): void {
  if (!mint.quarantined()) return;
  throw new NodeError(
    'mint_quarantined',
    'This mint gave wrong answers; its tokens are not accepted for now.',
  );
}

/** Undefined if the mint has no such keyset, or more than one. */
function fullId(id: string, mint: Mint): string | undefined {
  if (mint.keysets.get(id) !== undefined) return id;
  if (id.length !== SHORT_ID_CHARS || !id.startsWith('01')) return undefined;
  const matches = mint.keysets.matching(id);
  return matches.length === 1 ? matches[0] : undefined;
}

function inputKeyset(id: string, info: TokenInfo, mint: Mint): KeysetInfo {
  const keyset = mint.keysets.get(fullId(id, mint) ?? '');
  if (keyset === undefined) throw unknownKeyset();
  if (keyset.unit !== info.unit) {
    throw new NodeError('unsupported_unit', `A proof is not in ${info.unit}, although the token says so.`);
  }
  if (keyset.feePpk > LIMITS.mint.inputFeePpkMax) {
    throw new NodeError('unsupported_keyset', 'The mint asks an unreasonable fee for these proofs.');
  }
  if (mint.keysets.expiring(keyset)) {
    throw expiring('The keyset of a proof in the token has expired, or does within the hour.');
  }
  return keyset;
}

const expiring = (what: string): NodeError =>
  new NodeError('keyset_expiring', `${what} The token is untouched; swap it to a newer keyset.`);

/** The any-change split, or the largest denominations first where the keyset lacks one of its powers of two. */
export function outputAmounts(net: number, keys: Readonly<Record<string, string>>): number[] {
  const wanted = anyChangeSplit(net);
  if (wanted.every((amount) => Object.hasOwn(keys, String(amount)))) return wanted;
  const denominations = Object.keys(keys)
    .map(Number)
    .filter((amount) => Number.isSafeInteger(amount) && amount > 0)
    .sort((a, b) => b - a);
  const amounts: number[] = [];
  let rest = net;
  for (const amount of denominations) {
    while (rest >= amount && amounts.length <= LIMITS.token.proofsMax) {
      amounts.push(amount);
      rest -= amount;
    }
  }
  if (rest !== 0)
    throw new NodeError('unsupported_keyset', 'The denominations of the mint do not fit the amount.');
  return amounts.reverse();
}
