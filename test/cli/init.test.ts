import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NODE_TEMPLATE } from '../../src/cli-template.ts';
import { nodeKey } from '../../src/relay/key.ts';
import { Secret } from '../../src/base/secret.ts';
import { MINIMAL, temporaryDirectory, write } from '../config/fixture.ts';
import { errorOf, run } from './run.ts';
import { fakeTerminal } from './terminal.ts';

interface Result {
  npub: string;
  data_dir: string;
  seed: string;
  created: string[];
  backup: string;
}
const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);

/** Every file below, by content. */
function contents(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path, createHash('sha256').update(readFileSync(path)).digest('hex')];
    }),
  );
}

test('init makes a whole node from nothing, for one user only, and a second run changes nothing', async () => {
  const cwd = temporaryDirectory();
  const first = await run(['init', '--config', 'node/node.yaml', '--yes'], { cwd });
  expect(first).toMatchObject({ code: 0, stderr: '' });
  const result = JSON.parse(first.stdout) as Result;
  const dir = join(cwd, 'node');
  const paths = ['node.yaml', 'relays.json', 'data/nsec', 'data/seed', 'data/ledger'].map((name) =>
    join(dir, name),
  );
  expect(result.created).toEqual(paths);
  expect(paths.map(mode)).toEqual(['600', '600', '600', '600', '700']);
  expect(mode(join(dir, 'data'))).toBe('700');
  expect(readFileSync(join(dir, 'node.yaml'), 'utf8')).toBe(NODE_TEMPLATE);
  const nsec = readFileSync(join(dir, 'data/nsec'), 'utf8').trim();
  expect(nsec).toMatch(/^nsec1/);
  expect(result.npub).toBe(nodeKey(new Secret(nsec)).npub);
  const words = readFileSync(join(dir, 'data/seed'), 'utf8').trim();
  expect(words.split(' ')).toHaveLength(12);
  expect(first.stdout).not.toContain(words);
  expect(first.stdout).not.toContain(nsec);
  expect([result.seed, result.backup]).toEqual([join(dir, 'data/seed'), expect.stringContaining('Back up')]);

  const before = contents(dir);
  const second = await run(['init', '--config', 'node/node.yaml', '--yes'], { cwd });
  expect(JSON.parse(second.stdout)).toMatchObject({ npub: result.npub, created: [] });
  expect(contents(dir)).toEqual(before);
});

test('init keeps a configuration and a key that exist and makes only what is missing', async () => {
  const cwd = temporaryDirectory();
  const nsec = '11'.repeat(32);
  write(
    join(cwd, 'own.json'),
    JSON.stringify({ ...MINIMAL, data_dir: 'd', identity: { nsec: 'file:keys/me' } }),
  );
  write(join(cwd, 'keys/me'), nsec);
  const io = fakeTerminal({ argv: ['init', '--yes', '--config', 'own.json'], cwd, isTTY: false });
  expect(await io.done()).toBe(0);
  const result = JSON.parse(io.out()) as Result;
  expect(result.created).toEqual([join(cwd, 'd/seed'), join(cwd, 'd/ledger')]);
  expect(result.npub).toBe(nodeKey(new Secret(nsec)).npub);
  expect(readFileSync(join(cwd, 'keys/me'), 'utf8')).toBe(nsec);
});

test('at a terminal init asks first, and shows the words once', async () => {
  const cwd = temporaryDirectory();
  write(join(cwd, 'node.yaml'), JSON.stringify(MINIMAL));
  const no = fakeTerminal({ argv: ['init'], cwd, types: 'n\n' });
  expect(await no.done()).toBe(1);
  expect(no.err()).toContain('[y/N] error: nothing was written\n');
  expect(readdirSync(cwd)).toEqual(['node.yaml']);

  const yes = fakeTerminal({ argv: ['init'], cwd, types: 'y\n' });
  expect(await yes.done()).toBe(0);
  const words = readFileSync(join(cwd, 'data/seed'), 'utf8').trim();
  expect(yes.out()).toContain(words);

  const again = fakeTerminal({ argv: ['init', '--yes'], cwd });
  expect(await again.done()).toBe(0);
  expect(again.out()).toContain('This node is complete; nothing was changed.');
  expect(again.out()).not.toContain(words);
});

test('a person who leaves without an answer said no', async () => {
  const cwd = temporaryDirectory();
  const io = fakeTerminal({ argv: ['init'], cwd, types: '' });
  expect(await io.done()).toBe(1);
  expect(readdirSync(cwd)).toEqual([]);
});

test('where nobody can answer, init wants --yes', async () => {
  const cwd = temporaryDirectory();
  const result = await run(['init'], { cwd });
  expect([result.code, errorOf(result).code]).toEqual([2, 'usage']);
  expect(readdirSync(cwd)).toEqual([]);
});

test.each([
  ['seed', 'ledger'],
  ['ledger', 'seed'],
])('a data directory that lost its %s is refused and left alone', async (lost, left) => {
  const cwd = temporaryDirectory();
  write(join(cwd, 'node.yaml'), JSON.stringify(MINIMAL));
  const argv = ['init', '--yes'];
  expect(await fakeTerminal({ argv, cwd }).done()).toBe(0);
  rmSync(join(cwd, 'data', lost), { recursive: true });
  const before = contents(cwd);
  const io = fakeTerminal({ argv, cwd, isTTY: false });
  expect(await io.done()).toBe(78);
  expect(io.err()).toContain(`has a ${left} but no ${lost}`);
  expect(contents(cwd)).toEqual(before);
});
