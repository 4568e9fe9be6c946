import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { VERSION } from '../src/version.ts';

test('the version that clients see is that of the package, and not one that old clients treat as ancient', async () => {
  const text = await readFile(join(import.meta.dirname, '../package.json'), 'utf8');
  expect((JSON.parse(text) as { version: string }).version).toBe(VERSION);
  expect(VERSION.startsWith('0.1.')).toBe(false);
});
