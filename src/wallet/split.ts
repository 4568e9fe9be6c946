/** Any-change split: amounts such that every change from nothing to everything is an exact subset of them. */

/**
 * 1, 2, 4 … 2^k with the largest k for which `3 * 2^k - 1 <= n`, and the binary digits of the rest. Greedy
 * choice from the top finds every amount 0..n. Sorted upwards; empty for 0.
 */
export function anyChangeSplit(n: number): number[] {
  if (!Number.isSafeInteger(n) || n < 0) throw new Error('only whole amounts can be split');
  const amounts: number[] = [];
  let rest = n;
  for (let power = 1; 3 * power - 1 <= n; power *= 2) {
    amounts.push(power);
    rest -= power;
  }
  return [...amounts, ...binarySplit(rest)].sort((a, b) => a - b);
}

/** Fewest powers of two that sum up to `n`. */
function binarySplit(n: number): number[] {
  const amounts: number[] = [];
  for (let power = 1, rest = n; rest > 0; power *= 2, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) amounts.push(power);
  }
  return amounts;
}
