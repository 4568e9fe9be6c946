import { finalizeEvent, generateSecretKey, verifyEvent } from 'nostr-tools/pure';
import { expect, onTestFinished, test } from 'vitest';
import { systemRandom } from '../../src/base/id.ts';
import { Secret } from '../../src/base/secret.ts';
import { systemClock } from '../../src/base/time.ts';
import { buildAnnouncement } from '../../src/protocol/announcement-build.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { nodeKey } from '../../src/relay/key.ts';
import { createWrapper, openWrap } from '../../src/relay/wrap.ts';
import { testWorld, until } from '../e2e/support.ts';
import { unixNow } from '../e2e/signed.ts';
import { announcement } from '../nostr/kit.ts';
import { LETTER_EFFECTS } from './letter-effects.ts';
import { LETTERS } from './letters.ts';
import { runLetters } from './letters-kit.ts';
import { RELAYS } from './relays.ts';

runLetters([...LETTERS, ...LETTER_EFFECTS, ...RELAYS]);

test('D10 a copy of a verified event with other content is not believed, though the library says so', () => {
  const [node, eve] = [nodeKey(new Secret('1'.repeat(64))), nodeKey(new Secret('2'.repeat(64)))];
  const wrap = (text: string) =>
    createWrapper(eve, systemRandom, systemClock).wrap({ kind: KIND.frame, content: text }, node.pubkey, {
      kind: KIND.ephemeralWrap,
    });
  const { kind, created_at, tags, content } = wrap('one');
  const event = finalizeEvent({ kind, created_at, tags, content }, generateSecretKey());
  const copy = { ...event, content: wrap('two').content };
  expect(verifyEvent(copy)).toBe(true);
  expect(openWrap(copy, node)).toEqual({ refused: 'signature' });
});

test('N2 another instance with our key is noticed and shown to the operator', async () => {
  const world = await testWorld({ mint: { dleq: false } });
  onTestFinished(() => world.close());
  expect((await world.get('/readyz')).json.relays.key_used_elsewhere).toBe(false);
  await world.node.stop();
  const { nsec } = world.config.secrets;
  if (nsec === undefined) throw new Error('the world has no identity');
  const twin = nodeKey(nsec).sign(
    buildAnnouncement(announcement({ urls: ['https://twin.example'] }), {
      createdAt: unixNow() + 60,
      sha256Hex: () => 'hash',
    }),
  );
  world.relay.plant(twin);
  await world.reopen().start();
  await until('the alarm', async () => (await world.get('/readyz')).json.relays.key_used_elsewhere === true);
  expect(world.logged()).toContain('nostr.key.shared');
});
