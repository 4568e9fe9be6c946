import { expect, test } from 'vitest';
import { hex } from '../../src/base/id.ts';
import { createMnemonic, seedFromMnemonic } from '../../src/wallet/seed.ts';

test('the words of NUT-13 give the seed of BIP-39', () => {
  const words = 'half depart obvious quality work element tank gorilla view sugar picture humble';
  expect(hex(seedFromMnemonic(words))).toBe(
    'dd44ee516b0647e80b488e8dcc56d736a148f15276bef588b37057476d4b2b25780d3688a32b37353d6995997842c0fd8b412475c891c16310471fbc86dcbda8',
  );
  expect(seedFromMnemonic(`  ${words.toUpperCase().replaceAll(' ', '\n ')} `)).toEqual(
    seedFromMnemonic(words),
  );
});

test('new words are twelve, valid and never the same', () => {
  const [one, two] = [createMnemonic(), createMnemonic()];
  expect(one.split(' ')).toHaveLength(12);
  expect(seedFromMnemonic(one)).toHaveLength(64);
  expect(one).not.toBe(two);
});

test.each([
  '',
  'abandon',
  'abandon '.repeat(12),
  'one two three four five six seven eight nine ten eleven twelve',
])('words that are no mnemonic are refused, and not repeated in the error: "%s"', (words) => {
  expect(() => seedFromMnemonic(words)).toThrow(/not valid/);
});
