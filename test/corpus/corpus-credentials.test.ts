import { BEHIND_PROXY, CREDENTIALS } from './credentials.ts';
import { runRows } from './kit.ts';

runRows(CREDENTIALS, BEHIND_PROXY);
