import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { ERRORS, EXIT } from '../../src/base/error.ts';
import { fakeTerminal } from './terminal.ts';

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

test('docs/commands.md has every command that exists', async () => {
  const words = async (...path: string[]): Promise<string[]> => {
    const io = fakeTerminal({ argv: [...path, '--help'] });
    expect(await io.done()).toBe(0);
    const list = io.out().slice(io.out().indexOf('\nCommands:'));
    return [...list.matchAll(/^ {2}(\w+)/gm)].map(([, word]) => word ?? '').filter((word) => word !== 'help');
  };
  const commands = readFileSync(resolve(import.meta.dirname, '../../docs/commands.md'), 'utf8');
  const top = await words();
  expect(top.length).toBeGreaterThan(15);
  for (const word of top) expect(commands).toContain(`\`${word}`);
  for (const group of ['config', 'announce', 'wallet', 'keys'])
    for (const word of await words(group))
      expect(commands).toMatch(new RegExp(`${group} ${word}|\`${word}\``));
});

test('docs/invariants.md has every invariant and a test for every line, and every test that it names is there', () => {
  const root = resolve(import.meta.dirname, '../..');
  const text = readFileSync(resolve(root, 'docs/invariants.md'), 'utf8');
  const rows = text.split('\n').filter((line) => /^\| [^-]/.test(line) && !line.includes('fails if not'));
  expect(rows.length).toBeGreaterThan(80);
  for (const row of rows) {
    const named = [...row.matchAll(/`([\w/-]+\.test\.ts)`/g)].map(([, file = '']) => file);
    expect(named, row).not.toEqual([]);
    for (const file of named) expect(existsSync(resolve(root, 'test', file)), file).toBe(true);
  }
  const ids = (letter: string, count: number): string[] =>
    Array.from({ length: count }, (_, i) => `${letter}${i + 1}`);
  const first = rows.map((row) => /^\| ([IFS]\d+) /.exec(row)?.[1]).filter((id) => id !== undefined);
  expect(first).toEqual([...ids('I', 26), ...ids('F', 9), ...ids('S', 8)]);
});
