/** Canaries in everything that is written in messages: none of them may stand in a log, on the disk or on a relay. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { pubkeyOf } from '../../src/relay/key.ts';
import { loadFastSchnorr } from '../../src/relay/schnorr.ts';
import type { ResultFrame } from '../../src/protocol/dmi.ts';
import { dmClient, request } from './dm-kit.ts';
import { nostrApp } from './nostr-app.ts';
import { chat, testWorld } from './support.ts';

const PROMPT = 'canary-prompt-91be';
const PATH = '/v1/chat/completions';

test('what is said and paid in messages is read by its two ends only', async () => {
  await loadFastSchnorr();
  const world = await testWorld({ mint: { dleq: false } });
  let open = true;
  const close = async (): Promise<void> => {
    if (open) await world.close();
    open = false;
  };
  onTestFinished(close);
  const node = pubkeyOf(world.node.npub) ?? '';
  const client = await dmClient(node, [world.relay.url]);
  const app = await nostrApp(world.relay.url, node);
  onTestFinished(async () => {
    app.close();
    await client.close();
  });
  const once = await world.mint.issue(200);
  const deposit = await world.mint.issue(300);
  const pasted = await world.mint.issue(400);

  const made = await client.ask({
    path: '/v1/balance/create',
    content: JSON.stringify({ cashu_token: deposit }),
  });
  const key = (JSON.parse(made.bytes.toString()) as { api_key: string }).api_key;
  const content = JSON.stringify(chat(PROMPT));
  const paid = await client.ask({ path: PATH, content, auth: { cashu: once } });
  const change = (paid.last as ResultFrame).change ?? '';
  await client.ask({ path: PATH, content, auth: { bearer: key } });
  const stream = await client.ask({
    path: PATH,
    content: JSON.stringify(chat(PROMPT, { stream: true })),
    auth: { bearer: key },
    stream: {},
  });
  expect(stream.last.status).toBe(200);
  // Refusals and failures log more than successes do.
  world.model.failNext('status-500');
  await client.ask({ path: PATH, content, auth: { bearer: key } });
  await client.ask({ path: PATH, content: `{"messages":"${PROMPT}`, auth: { bearer: key } });
  await client.send({ ...request({ body: PROMPT, path: PATH, method: 'POST' }), exp: 1 });
  await app.say(pasted);
  await app.say(PROMPT);
  const [, refund = ''] = await app.say('/refund', 2);
  const nsec = (await readFile(join(world.config.data_dir, 'nsec'), 'utf8')).trim();

  const secrets = { PROMPT, key, once, deposit, pasted, change, refund, nsec };
  const log = world.logged();
  const onRelay = JSON.stringify(world.relay.events());
  expect(world.relay.events().filter(({ kind }) => kind === 1059).length).toBeGreaterThan(4);
  const places: Record<string, (piece: string) => boolean> = {
    'the log': (piece) => log.includes(piece),
    'a relay': (piece) => onRelay.includes(piece),
  };
  const disk: Buffer[] = [];
  // Stopped, so that what was only in memory until now is written as well.
  await world.node.stop();
  const files = await readdir(world.config.data_dir, { recursive: true, withFileTypes: true });
  for (const file of files)
    if (file.isFile() && file.name !== 'nsec' && file.name !== 'seed')
      disk.push(await readFile(join(file.parentPath, file.name)));
  expect(disk.length).toBeGreaterThan(2);
  places['the disk'] = (piece) => disk.some((bytes) => bytes.includes(piece));
  for (const [name, secret] of Object.entries(secrets)) {
    // A token is recognised by any piece of it: all but its common beginning.
    const piece = secret.startsWith('cashu') ? secret.slice(-60) : secret;
    expect(piece.length, name).toBeGreaterThan(10);
    for (const [place, has] of Object.entries(places)) expect(has(piece), `${name} in ${place}`).toBe(false);
  }
}, 120_000);
