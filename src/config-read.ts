/** Reading of node.yaml and of what the environment and the command line put over it. */
import { readFile, stat } from 'node:fs/promises';
import { LineCounter, parseDocument } from 'yaml';
import { EXIT, ExitError } from './base/error.ts';
import { LIMITS } from './base/limits.ts';
import { ifExists, unreadable } from './base/missing.ts';
import { type Problem, nearest, refuse, unknownKeyMessage } from './config-problem.ts';
import { type JsonSchema, settingsJsonSchema } from './config-schema.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** Variable that names the configuration file. */
export const CONFIG_VARIABLE = 'ROUTSTR_CONFIG';
const PREFIX = 'ROUTSTR_';

/** The file as plain data. JSON is read by the same parser, because YAML 1.2 contains it. */
export async function readConfigFile(file: string): Promise<unknown> {
  const info = await readable(file, ifExists(stat(file)));
  if (info === undefined) {
    throw new ExitError(EXIT.refused, `config: no file at ${file}; run: routstr-node init --config ${file}`);
  }
  if (!info.isFile()) refuse([{ path: 'config', message: `${file} is not a file` }]);
  if (info.size > LIMITS.config.fileBytesMax) {
    refuse([{ path: 'config', message: `${file} is larger than ${LIMITS.config.fileBytesMax} bytes` }]);
  }
  return parseText(await readable(file, readFile(file, 'utf8')), file);
}

const readable = <T>(file: string, read: Promise<T>): Promise<T> =>
  read.catch((cause: unknown) => {
    throw new ExitError(EXIT.refused, `config: ${unreadable(file, cause)}`, cause);
  });

/** Variables (`ROUTSTR_LISTEN__PORT`) and then flags (`listen.port`) over the file. Scalars only. */
export function applyOverrides(
  raw: unknown,
  env: Env,
  flags: Readonly<Record<string, string>>,
): { raw: unknown; origins: Map<string, string>; warnings: string[] } {
  const scalars = scalarPaths(settingsJsonSchema(), []);
  const origins = new Map<string, string>();
  const warnings: string[] = [];
  const problems: Problem[] = [];
  const target = withoutNulls(raw);
  const put = (path: string, text: string, origin: string): void => {
    const types = scalars.get(path) ?? [];
    if (setAt(target, path.split('.'), coerce(text, types))) origins.set(path, origin);
  };

  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || name === CONFIG_VARIABLE || text === undefined) continue;
    const path = name.slice(PREFIX.length).toLowerCase().split('__').join('.');
    if (scalars.has(path)) put(path, text, name);
    else if (name.includes('__')) {
      problems.push({ path: name, message: unknownVariable(path, [...scalars.keys()]) });
    } else if (nearest(path, [...scalars.keys()]) !== undefined) {
      // Without `__` it may belong to another program, so it is no error; but a slip of the pen should be seen.
      warnings.push(`${name}: ${unknownVariable(path, [...scalars.keys()])}`);
    }
  }
  for (const [path, text] of Object.entries(flags)) {
    if (scalars.has(path)) put(path, text, `--set ${path}`);
    else problems.push({ path: `--set ${path}`, message: unknownKeyMessage(path, [...scalars.keys()]) });
  }
  if (problems.length > 0) refuse(problems);
  return { raw: target, origins, warnings };
}

function parseText(text: string, file: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  // The parser's own messages quote the source, which may hold a secret: only its code is passed on.
  const problems = document.errors.map((error) => {
    const { line, col } = lines.linePos(error.pos[0]);
    const what = error.code === 'DUPLICATE_KEY' ? 'the same key twice' : `not valid YAML (${error.code})`;
    return { path: `${file}:${line}:${col}`, message: what };
  });
  if (problems.length > 0) refuse(problems);
  try {
    return document.toJS({ maxAliasCount: 100 }) as unknown;
  } catch (error) {
    throw new ExitError(EXIT.refused, `${file}: too many or unresolved aliases`, error);
  }
}

/** A key without a value (all its lines commented out) means its default. Also makes a copy that may be changed. */
function withoutNulls(value: unknown): unknown {
  if (value === null || value === undefined) return {};
  if (Array.isArray(value)) return value.map((entry) => (entry === null ? null : copy(entry)));
  return copy(value);
}
function copy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copy);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, child]) => child !== null);
  return Object.fromEntries(kept.map(([key, child]) => [key, copy(child)]));
}

/** Sets a value below groups that may not exist yet. False where the file has no group in that place. */
function setAt(target: unknown, path: readonly string[], value: unknown): boolean {
  let here = target;
  for (const key of path.slice(0, -1)) {
    if (!isGroup(here)) return false;
    here[key] ??= {};
    here = here[key];
  }
  const last = path.at(-1);
  if (!isGroup(here) || last === undefined) return false;
  here[last] = value;
  return true;
}
const isGroup = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Paths of all single values that stand outside lists, with the JSON types they accept. */
function scalarPaths(schema: JsonSchema, path: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [key, child] of Object.entries(schema.properties ?? {})) {
    const here = [...path, key];
    if (child.properties) for (const entry of scalarPaths(child, here)) found.set(...entry);
    const types = (child.anyOf ?? [child]).map((option) => option.type ?? typeof option['const']);
    const scalar = types.filter((type) => ['string', 'number', 'integer', 'boolean'].includes(type));
    if (scalar.length > 0) found.set(here.join('.'), scalar);
  }
  return found;
}

function coerce(text: string, types: readonly string[]): string | number | boolean {
  if (types.includes('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  const numeric = types.includes('number') || types.includes('integer');
  return numeric && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function unknownVariable(path: string, known: readonly string[]): string {
  const meant = nearest(path, known);
  if (meant === undefined) return 'names no key of the configuration';
  return `names no key of the configuration; did you mean ${PREFIX}${meant.toUpperCase().split('.').join('__')}?`;
}
