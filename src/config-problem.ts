/** Problems of a configuration as an operator reads them: one line each, `path: what is wrong`, never a secret. */
import type { z } from 'zod';
import { EXIT, ExitError } from './base/error.ts';
import type { JsonSchema, Settings } from './config-schema.ts';
import { settingsJsonSchema, settingsSchema } from './config-schema.ts';

export interface Problem {
  path: string;
  message: string;
}

/** Ends start-up with every problem at once; nobody wants to repair a file one line per attempt. */
export function refuse(problems: readonly Problem[]): never {
  throw new ExitError(
    EXIT.refused,
    problems.map(({ path, message }) => `${path || '(file)'}: ${message}`).join('\n'),
  );
}

/** Settings with all defaults, or the problems. `origins` names the variable or flag a value came from. */
export function parseSettings(raw: unknown, origins: ReadonlyMap<string, string>): Settings {
  const leaked = findSecrets(raw, '');
  if (leaked.length > 0) refuse(leaked);
  const parsed = settingsSchema.safeParse(raw, { error: (issue) => describeIssue(issue) });
  if (parsed.success) return parsed.data;
  refuse(parsed.error.issues.flatMap(problemsOf).map((problem) => withOrigin(problem, origins)));
}

/** `a.b[2].c`; what an operator can find again in the file. */
const pathText = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');

/** The candidate an operator most likely meant, if any is near enough. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= Math.max(2, Math.floor(word.length / 3)) ? best.candidate : undefined;
}

export function unknownKeyMessage(key: string, candidates: readonly string[]): string {
  const meant = nearest(key, candidates);
  return meant === undefined ? 'unknown key' : `unknown key; did you mean "${meant}"?`;
}

function withOrigin(problem: Problem, origins: ReadonlyMap<string, string>): Problem {
  const origin = origins.get(problem.path);
  return origin === undefined ? problem : { ...problem, message: `${problem.message} (from ${origin})` };
}

function problemsOf(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code !== 'unrecognized_keys') return [{ path: pathText(issue.path), message: issue.message }];
  const known = keysAt(settingsJsonSchema(), issue.path);
  return issue.keys.map((key) => ({
    path: pathText([...issue.path, key]),
    message: unknownKeyMessage(key, known),
  }));
}

/** Sentences instead of the library's: they say what is wanted and leave out what stood there. */
function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.input === undefined && issue.code !== 'unrecognized_keys') return 'is required';
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${EXPECTED[issue.expected] ?? `of type ${issue.expected}`}`;
    case 'invalid_value':
      return `must be one of: ${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return bound('at least', Number(issue.minimum), issue.inclusive === true, issue.origin);
    case 'too_big':
      return bound('at most', Number(issue.maximum), issue.inclusive === true, issue.origin);
    default:
      return undefined;
  }
}

const EXPECTED: Record<string, string> = {
  string: 'text',
  number: 'a finite number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a group of keys',
};

const UNITS: Record<string, string> = { string: ' characters', array: ' entries' };

function bound(word: string, value: number, inclusive: boolean, origin: string): string {
  const unit = UNITS[origin] ?? '';
  if (origin === 'string' && word === 'at least' && value === 1) return 'must not be empty';
  if (origin === 'array' && word === 'at least' && value === 1) return 'needs at least one entry';
  if (!inclusive) return `must be ${word === 'at least' ? 'more' : 'less'} than ${value}${unit}`;
  return `must be ${word} ${value}${unit}`;
}

function keysAt(schema: JsonSchema, path: readonly PropertyKey[]): string[] {
  let here: JsonSchema | undefined = schema;
  for (const key of path) here = typeof key === 'number' ? here?.items : here?.properties?.[String(key)];
  return Object.keys(here?.properties ?? {});
}

const SECRET_KEY = /n(?:crypt)?sec1[02-9ac-hj-np-z]{20,}/i;

/** Secret keys pasted into any field, even an unknown one: refused before anything could print them. */
function findSecrets(value: unknown, path: string): Problem[] {
  if (typeof value === 'string') {
    return SECRET_KEY.test(value)
      ? [
          {
            path,
            message: 'holds a Nostr secret key; put it in a file and write file:PATH',
          },
        ]
      : [];
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => {
    if (SECRET_KEY.test(key)) return [{ path, message: 'has a Nostr secret key as a key' }];
    return findSecrets(
      child,
      Array.isArray(value) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`,
    );
  });
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
