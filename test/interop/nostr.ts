/**
 * Interop over Nostr with programs in Go that this project did not write: a relay and command line (nak), and a client
 * on the library go-nostr. Prints `N passed, N failed`; what cannot be installed is skipped with one line.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import { createTestRelay } from '../../src/demo/relay.ts';
import { createAnnouncer } from '../../src/nostr/announcer.ts';
import { parseAnnouncement } from '../../src/protocol/announcement.ts';
import { verifyEvent } from '../../src/relay/event.ts';
import type { Filter, NostrEvent } from '../../src/relay/relay.ts';
import { createRelaySet } from '../../src/relay/set.ts';
import { freePort } from '../node-kit.ts';
import { announcement, entry, memoryStore, model, newKey } from '../nostr/kit.ts';
import { chatStory, goChatClient, nakChatClient } from './chat.ts';
import { buildGoClient, installNak, type Program, serveNak } from './nak.ts';

let passed = 0;
let failed = 0;
function check(what: string, truth: boolean): void {
  if (truth) passed += 1;
  else failed += 1;
  process.stdout.write(`${truth ? 'ok     ' : 'FAILED '} ${what}\n`);
}

/** What a node does at a relay: announce, be found, change, be subscribed to, say goodbye, retract. */
async function relayStory(name: string, url: string, look?: (filter: Filter) => Promise<NostrEvent[]>) {
  const key = newKey();
  const relays = createRelaySet({
    relays: [entry(url, { roles: ['announce', 'discover', 'dm'] })],
    key,
    clock: systemClock,
    log: silentLogger,
  });
  const models = Array.from({ length: 300 }, (_, n) => model(`vendor/model-${n}`));
  const announcer = createAnnouncer({
    key,
    relays,
    describe: () => announcement({ d: key.pubkey.slice(0, 12), models }),
    store: memoryStore(),
    clock: systemClock,
    log: silentLogger,
    heartbeatSeconds: 3_600,
  });
  const filter = { kinds: [38_421], authors: [key.pubkey] };
  const find = look ?? ((wanted) => relays.query(wanted, 'discover'));
  try {
    const heard: NostrEvent[] = [];
    const live = relays.subscribe({
      filter: () => ({ kinds: [21_059], '#p': [key.pubkey] }),
      roles: ['dm'],
      onEvent: (event) => void heard.push(event),
    });
    check(`${name}: a subscription is live`, (await live.ready(20_000)) === 1);
    check(`${name}: takes the announcement`, (await announcer.start()).accepted === 1);
    const [found] = await find(filter);
    const said = found === undefined ? undefined : parseAnnouncement(found);
    check(`${name}: the announcement is found, verified, with all models`, said?.models.length === 300);
    const byModel = await find({ kinds: [38_421], '#l': ['vendor/model-0'] });
    check(`${name}: the announcement is found by the name of a model`, byModel.length === 1);
    const ephemeral = newKey().sign({
      kind: 21_059,
      created_at: unixSeconds(systemClock),
      tags: [['p', key.pubkey]],
      content: randomBytes(200).toString('base64'),
    });
    await relays.publishTo(ephemeral, [url]);
    await soon(() => heard.length === 1);
    check(`${name}: passes an ephemeral wrap on`, heard[0]?.id === ephemeral.id);
    await announcer.stop({ tombstone: true });
    const [gone] = await find(filter);
    check(`${name}: the tombstone replaced it`, parseAnnouncement(gone ?? ephemeral)?.status === 'offline');
  } finally {
    await announcer.stop({ tombstone: false });
    await relays.close();
  }
}

async function soon(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !condition(); tries += 1) await new Promise((r) => setTimeout(r, 50));
}

/** What the Go client found; it has checked ids and signatures by itself, and here they are checked again. */
const lookWith =
  (client: Program, url: string) =>
  async (filter: Filter): Promise<NostrEvent[]> => {
    const printed = await client.run(['req', url, JSON.stringify(filter)]);
    const lines = printed.split('\n').filter((line) => line !== '');
    return lines.flatMap((line) => verifyEvent(JSON.parse(line)) ?? []);
  };

async function main(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'routstr-interop-'));
  try {
    const client = await buildGoClient(dir);
    if ('skipped' in client) process.stdout.write(`go-nostr skipped: ${client.skipped}\n`);
    else {
      const relay = await createTestRelay({ verify: (event) => verifyEvent(event) !== undefined });
      await relayStory('go-nostr on the embedded relay', relay.url, lookWith(client, relay.url));
      await relay.close();
      const secret = randomBytes(32).toString('hex');
      await chatStory('go-nostr chats', await goChatClient(client, secret), check);
    }
    const nak = await installNak(dir);
    if ('skipped' in nak) process.stdout.write(`nak skipped: ${nak.skipped}\n`);
    else {
      const relay = await serveNak(nak, await freePort());
      try {
        await relayStory('nak serve', relay.url);
        const secret = randomBytes(32).toString('hex');
        await chatStory('nak chats', await nakChatClient(nak, secret), check, relay.url);
      } finally {
        await relay.stop();
      }
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await main();
