/** Pool of undici without the rest of it, which is four times as much code to load at every start and used nowhere. */
import { createRequire } from 'node:module';
import type undici from 'undici';

export const Pool = createRequire(import.meta.url)('undici/lib/dispatcher/pool.js') as typeof undici.Pool;
