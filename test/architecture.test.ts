import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const SRC = resolve(import.meta.dirname, '../src');

/** Which rooms a room may open. A room absent from a list is a wall. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  base: [],
  protocol: ['base'],
  pricing: ['base', 'protocol'],
  ledger: ['base'],
  wallet: ['base'],
  upstream: ['base', 'protocol', 'pricing'],
  relay: ['base', 'protocol'],
  gateway: ['base', 'protocol', 'pricing', 'ledger', 'wallet', 'upstream'],
  http: ['base', 'protocol', 'gateway'],
  nostr: ['base', 'protocol', 'relay', 'gateway'],
  client: ['base', 'protocol', 'relay', 'wallet'],
  demo: ['base', 'protocol'],
};

/** Rooms of which another room sees the types only. */
const TYPES_ONLY: Record<string, readonly string[]> = { gateway: ['ledger', 'wallet', 'upstream'] };

/** The rooms in which an outside package may be imported; root files may import what no room needs. */
const PACKAGE_ROOMS: Record<string, readonly string[]> = {
  pino: ['base'],
  zod: ['protocol', 'pricing', 'ledger', 'wallet', 'upstream', 'relay', 'gateway', 'client', '(root)'],
  level: ['ledger'],
  '@cashu/cashu-ts': ['wallet', 'demo'],
  '@scure/bip39': ['wallet'],
  undici: ['upstream', 'pricing'],
  'nostr-tools': ['relay'],
  'nostr-wasm': ['relay'],
  ws: ['relay', 'wallet', 'demo'],
  express: ['http', 'demo'],
  helmet: ['http'],
  commander: ['(root)'],
  yaml: ['(root)'],
  openai: ['demo'],
};

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.ts'));
const room = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : '(root)');

interface Import {
  specifier: string;
  typeOnly: boolean;
}
function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  const statements = text.matchAll(/^\s*(import|export)\s+(type\s)?(?:[^;'"=]*?\sfrom\s+)?'([^']+)'/gms);
  const dynamic = text.matchAll(/import\(\s*'([^']+)'\s*\)/g);
  return [
    ...[...statements].map((m) => ({ specifier: m[3] ?? '', typeOnly: m[2] !== undefined })),
    ...[...dynamic].map((m) => ({ specifier: m[1] ?? '', typeOnly: false })),
  ];
}
const localTarget = (file: string, specifier: string): string =>
  relative(SRC, resolve(SRC, dirname(file), specifier));
const packageName = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

test('there is something to check', () => {
  expect(files.length).toBeGreaterThan(10);
});

test.each(files)('%s opens only the doors it may', (file) => {
  const here = room(file);
  for (const { specifier, typeOnly } of importsOf(file)) {
    if (specifier.startsWith('.')) {
      if (here === '(root)') continue;
      const there = room(localTarget(file, specifier));
      if (there === here) continue;
      expect(MAY_IMPORT[here], `${file} imports ${specifier}`).toContain(there);
      if (TYPES_ONLY[here]?.includes(there)) {
        expect(typeOnly, `${file} must import ${specifier} as types only`).toBe(true);
      }
    } else if (!specifier.startsWith('node:')) {
      const rooms = PACKAGE_ROOMS[packageName(specifier)];
      expect(rooms, `${file} imports the unlisted package ${specifier}`).toBeDefined();
      expect(rooms, `${file} imports ${specifier}`).toContain(here);
    }
  }
});

test('no circles', () => {
  const state = new Map<string, 'open' | 'done'>();
  const walk = (file: string, path: readonly string[]): void => {
    if (state.get(file) === 'done' || !files.includes(file)) return;
    if (state.get(file) === 'open') throw new Error([...path, file].join(' -> '));
    state.set(file, 'open');
    for (const { specifier, typeOnly } of importsOf(file)) {
      if (!typeOnly && specifier.startsWith('.')) walk(localTarget(file, specifier), [...path, file]);
    }
    state.set(file, 'done');
  };
  for (const file of files) walk(file, []);
});

test('only main.ts touches the process', () => {
  for (const file of files.filter((f) => f !== 'main.ts')) {
    const text = readFileSync(join(SRC, file), 'utf8');
    expect(/\bprocess\.(argv|env|exit|exitCode|on|stdout|stderr|stdin)\b/.test(text), file).toBe(false);
  }
});
