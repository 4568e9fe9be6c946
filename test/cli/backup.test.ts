import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../config/fixture.ts';
import { errorOf, run } from './run.ts';

test('backup and restore: a ledger that was deleted is back, and one that exists is left alone', async () => {
  const cwd = temporaryDirectory();
  await writeFile(
    join(cwd, 'node.yaml'),
    JSON.stringify({ relays: [], mints: [{ url: 'https://mint.test' }] }),
    {
      mode: 0o600,
    },
  );
  expect((await run(['init', '--yes'], { cwd })).code).toBe(0);
  const backup = await run(['backup', 'copy', '--json'], { cwd });
  expect(backup).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(backup.stdout)).toMatchObject({ path: join(cwd, 'copy'), entries: 0, drift_msat: 0 });

  const there = await run(['restore', 'copy'], { cwd });
  expect(there.code).toBe(78);
  expect(errorOf(there).message).toMatch(/left as it is/);
  await rm(join(cwd, 'data/ledger'), { recursive: true });
  const restored = await run(['restore', 'copy', '--json'], { cwd });
  expect(JSON.parse(restored.stdout)).toMatchObject({ path: join(cwd, 'data/ledger'), drift_msat: 0 });
  expect((await run(['audit', '--offline'], { cwd })).code).toBe(0);
  expect((await run(['restore', 'nowhere'], { cwd })).code).toBe(5);

  for (const entry of await readdir(cwd, { recursive: true, withFileTypes: true })) {
    const { mode } = await stat(join(entry.parentPath, entry.name));
    expect((mode & 0o077).toString(8), entry.name).toBe('0');
  }
}, 60_000);
