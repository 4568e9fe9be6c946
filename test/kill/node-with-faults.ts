/** A node that kills itself at one point: FAULT=ledger.settle.durable:3 dies the third time it comes there. */
import { createLogger } from '../../src/base/log.ts';
import { loadConfig } from '../../src/config.ts';
import { createNode } from '../../src/node.ts';
import { withPoints } from '../faults/points.ts';

const [file = ''] = process.argv.slice(2);
const [name, occurrence] = (process.env['FAULT'] ?? '').split(':');
let left = Number(occurrence);

function point(here: string): void {
  if (here === name && --left === 0) process.kill(process.pid, 'SIGKILL');
}

const config = await loadConfig({ file, env: {}, cwd: process.cwd() });
const node = createNode(config, {
  log: createLogger({ level: 'error' }),
  around: (port, parts) => withPoints(port, parts, point),
});
setInterval(() => undefined, 2 ** 30);
await node.start();
