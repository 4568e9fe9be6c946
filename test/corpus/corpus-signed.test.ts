import { runRows } from './kit.ts';
import { SIGNED } from './signed.ts';

runRows(SIGNED);
