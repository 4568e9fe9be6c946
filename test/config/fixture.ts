/** A configuration in a directory of its own, and the problems that reading it yields. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { ExitError } from '../../src/base/error.ts';
import { type Config, type LoadOptions, loadConfig } from '../../src/config.ts';

export const RELAYS = [{ url: 'wss://relay.test', roles: ['announce', 'discover'] }];

/** The least that a node needs. */
export const MINIMAL = { relays: RELAYS, mints: [{ url: 'https://mint.test' }] };

export function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'routstr-config-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function write(file: string, text: string, mode = 0o600): string {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

type Options = Partial<LoadOptions> & { files?: Record<string, string> };

/** Writes node.yaml (text, or data as JSON) and loads it. */
export function load(content: unknown, options: Options = {}): Promise<Config> {
  const { files = {}, ...rest } = options;
  const cwd = rest.cwd ?? temporaryDirectory();
  for (const [name, text] of Object.entries(files)) write(join(cwd, name), text);
  write(join(cwd, 'node.yaml'), typeof content === 'string' ? content : JSON.stringify(content));
  return loadConfig({ env: {}, cwd, ...rest });
}

/** The lines of the refusal; fails if there is none. */
export async function problems(content: unknown, options: Options = {}): Promise<string[]> {
  try {
    await load(content, options);
  } catch (error) {
    if (error instanceof ExitError && error.exitCode === 78) return error.message.split('\n');
    throw error;
  }
  throw new Error('the configuration was accepted');
}
