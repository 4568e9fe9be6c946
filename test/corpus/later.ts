/** Rows of the corpus for surfaces that do not exist yet: when one is built, its rows move from here to a fixture. */

const each = (section: string, from: number, to: number, reason: string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: to - from + 1 }, (_, i) => [`${section}${from + i}`, reason]));

export const LATER: Readonly<Record<string, string>> = {
  H31: 'There are no operator pages yet, so there is no origin to compare with.',
  ...each('U', 1, 7, 'No endpoint takes multipart bodies yet.'),
  ...each('P', 7, 11, 'There are no operator pages yet.'),
  P13: 'There are no operator pages yet.',
};

/** Every id of the corpus. */
export const IDS: readonly string[] = Object.entries({
  H: 32,
  A: 12,
  T: 24,
  J: 22,
  U: 7,
  I: 5,
  R: 7,
  D: 14,
  N: 3,
  C: 12,
  P: 13,
}).flatMap(([section, count]) => Array.from({ length: count }, (_, i) => `${section}${i + 1}`));
