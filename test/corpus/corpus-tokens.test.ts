import { runRows } from './kit.ts';
import { TOKENS_AT_MINTS } from './token-mints.ts';
import { TOKENS } from './tokens.ts';

runRows([...TOKENS, ...TOKENS_AT_MINTS]);
