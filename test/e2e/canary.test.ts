import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bearer, chat, testWorld } from './support.ts';

test('no token, key, prompt or completion is ever logged, and no bearer money or prompt is written to disk', async () => {
  const world = await testWorld();
  const prompt = 'canary-prompt-7f3a';
  const token = await world.mint.issue(100);
  const once = await world.mint.issue(100);
  const topup = await world.mint.issue(10);
  const key = (await world.post('/v1/balance/create', { cashu_token: token })).json.api_key as string;
  await world.post('/v1/chat/completions', chat(prompt), bearer(key));
  await world.post('/v1/chat/completions', chat(prompt, { stream: true }), bearer(token));
  const paid = await world.post('/v1/chat/completions', chat(prompt), { 'x-cashu': once });
  const change = paid.headers.get('x-cashu') ?? '';
  await world.post(`/v1/wallet/topup?cashu_token=${topup}`, '', bearer(key));
  const refund = (await world.post('/v1/wallet/refund', '', bearer(key))).json.token as string;
  // Failures log more than successes do.
  world.model.failNext('status-500');
  await world.post('/v1/chat/completions', chat(prompt), bearer(token));
  world.mint.failNext('status-500', { path: '/v1/swap' });
  await world.post('/v1/balance/create', { cashu_token: await world.mint.issue(3) });
  await world.post('/v1/chat/completions', `{"messages":"${prompt}`, bearer(key));
  const nsec = (await readFile(join(world.config.data_dir, 'nsec'), 'utf8')).trim();
  const seed = (await readFile(join(world.config.data_dir, 'seed'), 'utf8')).trim();

  const secrets = { prompt, key, nsec, seed, token, once, topup, change, refund };
  const files = await readdir(world.config.data_dir, { recursive: true, withFileTypes: true });
  const disk: Buffer[] = [];
  // The whole data directory, but for the two files that are these secrets.
  const searched = files.filter((file) => file.isFile() && file.name !== 'nsec' && file.name !== 'seed');
  expect(searched.map((file) => file.name)).toEqual(expect.arrayContaining(['HEAD', 'CURRENT']));
  expect(searched.some((file) => file.name.endsWith('.journal'))).toBe(true);
  for (const file of searched) disk.push(await readFile(join(file.parentPath, file.name)));
  const log = world.logged();
  await world.close();

  expect(log.length).toBeGreaterThan(200);
  expect(disk.length).toBeGreaterThan(2);
  for (const [name, secret] of Object.entries(secrets)) {
    // A token is recognised by any piece of it: all but its common beginning.
    const piece = secret.startsWith('cashu') ? secret.slice(-60) : secret;
    expect(piece.length, name).toBeGreaterThan(10);
    expect(log.includes(piece), `${name} in the log`).toBe(false);
    expect(
      disk.some((bytes) => bytes.includes(piece)),
      `${name} on disk`,
    ).toBe(false);
  }
});
