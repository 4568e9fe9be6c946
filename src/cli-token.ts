/** Tokens on the command line. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { EXIT, ExitError } from './base/error.ts';
import { LIMITS } from './base/limits.ts';
import type { CommandContext } from './cli-context.ts';

/** Arguments are seen by everyone on the machine; a file (`@file`) or a pipe (`-`) is not. */
export async function tokenText({ io }: CommandContext, given: string): Promise<string> {
  if (given.startsWith('@')) return fileText(resolve(io.cwd, given.slice(1)));
  if (given !== '-') return given;
  let text = '';
  for await (const chunk of io.stdin) {
    text += String(chunk);
    if (text.length > LIMITS.token.charsMax) throw new ExitError(EXIT.usage, 'that is no token: too long');
  }
  return text;
}

async function fileText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ExitError(EXIT.usage, `there is no readable file at ${file}`, cause);
  });
}
