/** A whole node on a small disk: full, it refuses money in words that clients know, and goes on by itself. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { bearer, chat, testWorld } from './support.ts';

test('a node whose disk is full takes no money, says so, and credits the same token once there is room again', async ({
  skip,
}) => {
  const disk = await mkdtemp(join(tmpdir(), 'small-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', disk], { stdio: 'pipe' });
  } catch {
    await rm(disk, { recursive: true });
    return skip('no tmpfs can be mounted');
  }
  const world = await testWorld({ mint: { dleq: false }, settings: { data_dir: join(disk, 'data') } });
  onTestFinished(async () => {
    await world.close();
    execFileSync('umount', [disk]);
    await rm(disk, { recursive: true });
  });
  const key = await world.key(100);
  const { bavail, bsize } = await statfs(disk);
  await writeFile(join(disk, 'other'), Buffer.alloc(bavail * bsize));

  const create = (token: string) => world.post('/v1/balance/create', { cashu_token: token });
  const tokens: string[] = [];
  let refused = await world.get('/livez');
  // What is written goes to blocks that the database has already, until it needs the next one.
  for (let i = 0; i < 200 && refused.status === 200; i += 1) {
    tokens.push(await world.mint.issue(16));
    refused = await create(tokens.at(-1) ?? '');
  }
  expect([refused.status, refused.json.error.code]).toEqual([503, 'storage_unavailable']);
  expect(refused.headers.get('x-cashu')).toBeNull();
  const paid = await world.post('/v1/chat/completions', chat('full'), bearer(key));
  expect([200, 503]).toContain(paid.status);

  await rm(join(disk, 'other'));
  const deadline = Date.now() + 90_000;
  let ready = 0;
  while (ready !== 200 && Date.now() < deadline) {
    ready = (await world.get('/readyz')).status;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  expect(ready).toBe(200);
  for (const token of tokens) {
    let answer = await create(token);
    while (answer.status !== 200 && Date.now() < deadline) {
      expect([503, 409, 429]).toContain(answer.status);
      await new Promise((wake) => setTimeout(wake, 200));
      answer = await create(token);
    }
    expect(answer.json.balance).toBe(16_000);
  }
  expect((await world.post('/v1/chat/completions', chat('room'), bearer(key))).status).toBe(200);
  expect(world.node.totals().drift).toBe(0);
}, 180_000);
