import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { ERRORS, EXIT } from '../../src/base/error.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/errors.md'), 'utf8');

test('docs/errors.md lists every code with its status, and no other', () => {
  const rows = [...page.matchAll(/^\| `(\w+)`\s*\| (\d+)\s*\|/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ]);
  expect(Object.fromEntries(rows)).toEqual(
    Object.fromEntries(Object.entries(ERRORS).map(([code, { status }]) => [code, status])),
  );
  expect(rows).toHaveLength(Object.keys(ERRORS).length);
});

test('docs/errors.md lists every exit code', () => {
  const listed = [...page.matchAll(/^\| (\d+)\s*\|/gm)].map((match) => Number(match[1]));
  expect(listed).toEqual(expect.arrayContaining(Object.values(EXIT)));
});
