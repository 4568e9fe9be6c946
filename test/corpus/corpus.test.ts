import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CREDENTIALS } from './credentials.ts';
import { HTTP } from './http.ts';
import { JSON_BODIES } from './json.ts';
import { IDS, LATER } from './later.ts';
import { LETTER_EFFECTS } from './letter-effects.ts';
import { LETTERS } from './letters.ts';
import { MONEY } from './money.ts';
import { RELAYS } from './relays.ts';
import { SIGNED } from './signed.ts';
import { TOKENS_AT_MINTS } from './token-mints.ts';
import { TOKENS } from './tokens.ts';

const ROWS = [
  ...HTTP,
  ...CREDENTIALS,
  ...TOKENS,
  ...TOKENS_AT_MINTS,
  ...JSON_BODIES,
  ...MONEY,
  ...SIGNED,
  ...LETTERS,
  ...LETTER_EFFECTS,
  ...RELAYS,
];

/** Rows that no request can make: they are tests of their own, named by their id. */
const apart = ['corpus-json.test.ts', 'corpus-config.test.ts', 'corpus-letters.test.ts'].flatMap((file) =>
  [
    ...readFileSync(join(import.meta.dirname, file), 'utf8').matchAll(
      /^test(?:\.each\(.*\))?\('([A-Z]\d+) /gm,
    ),
  ].map((match) => match[1] ?? ''),
);

test('every row of the corpus is there once: active, or later with a reason', () => {
  expect(IDS).toHaveLength(151);
  const active = [...ROWS.map(({ id }) => id), ...new Set(apart)];
  expect([...active, ...Object.keys(LATER)].sort()).toEqual([...IDS].sort());
});

test('every row says what it is about in one sentence, and has cases of different names', () => {
  for (const { id, says, cases } of ROWS) {
    expect(says, id).toMatch(/^[A-Z].*\.$/);
    expect(cases.length, id).toBeGreaterThan(0);
    expect(new Set(cases.map(({ what }) => what)).size, id).toBe(cases.length);
  }
  for (const [id, reason] of Object.entries(LATER)) expect(reason, id).toMatch(/^[A-Z].*\.$/);
});
