import { runRows } from './kit.ts';
import { MONEY } from './money.ts';

runRows(MONEY);
