import { HTTP } from './http.ts';
import { runRows } from './kit.ts';

runRows(HTTP);
