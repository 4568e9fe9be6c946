/**
 * The chat of a whole node, spoken to by a Nostr client that this project did not write: look around, pay with a token,
 * ask, take the rest back.
 */
import { createWorld } from '../../src/demo-world.ts';
import { createBuyer } from '../../src/demo/buyer.ts';
import { silentLogger } from '../../src/base/log.ts';
import { pubkeyOf } from '../../src/relay/key.ts';
import { jsonLines, type Program } from './nak.ts';

interface Wrapped {
  id: string;
}
interface Rumor {
  id?: string;
  content: string;
  created_at: number;
}

/** A foreign client with a key of its own. */
export interface ChatClient {
  pubkey: string;
  /** Wraps a message for the node and publishes it. */
  send: (text: string, to: string, relay: string) => Promise<void>;
  /** Gift wraps for this key that the relay holds, each opened. */
  heard: (relay: string) => Promise<Rumor[]>;
}

/** The node reads at `relay`, or at the embedded relay of its world. */
export async function chatStory(
  name: string,
  client: ChatClient,
  check: (what: string, truth: boolean) => void,
  relay?: string,
): Promise<void> {
  const settings =
    relay === undefined ? {} : { relays: [{ url: relay, roles: ['announce', 'discover', 'dm'] }] };
  const world = await createWorld({ log: silentLogger, settings });
  try {
    const url = relay ?? world.relay.url;
    const node = pubkeyOf(world.node.npub) ?? '';
    const say = async (text: string, wanted: RegExp): Promise<string> => {
      await client.send(text, node, url);
      for (let tries = 0; tries < 60; tries += 1) {
        const answer = (await client.heard(url)).find(({ content }) => wanted.test(content));
        if (answer) return answer.content;
        await new Promise((done) => setTimeout(done, 250));
      }
      return '';
    };
    check(`${name}: /models is answered`, (await say('/models', /demo\/echo: /)) !== '');
    check(`${name}: who has no balance is told`, (await say('hello', /no balance here yet/)) !== '');
    const token = await world.mint.issue(200);
    await say(token, /^(?:Received: 200 sat|Your token arrived)/);
    check(`${name}: a token is credited`, world.node.totals().liabilities['avail'] === 200_000);
    const answer = await say('one two three', /— cost /);
    check(`${name}: a prompt is answered with its cost`, answer.startsWith('one two three\n\n— cost '));
    const refund = await say('/refund', /^cashu/);
    const buyer = await createBuyer({ mintUrl: world.mint.url });
    check(`${name}: the rest comes back as a good token`, (await buyer.receive(refund)) > 0);
    check(`${name}: the books balance`, world.node.totals().drift === 0);
  } finally {
    await world.close();
  }
}

/** The program of `go-client/main.go`. */
export async function goChatClient(program: Program, secret: string): Promise<ChatClient> {
  process.env['SEC'] = secret;
  const pubkey = (await program.run(['pubkey'])).trim();
  const opened = new Map<string, Rumor>();
  return {
    pubkey,
    send: async (text, to, relay) => {
      const wrap = await program.run(['wrap', to, '14', '1059'], text);
      await program.run(['publish', relay], wrap);
    },
    heard: async (relay) => {
      const printed = await program.run(['req', relay, JSON.stringify({ kinds: [1059], '#p': [pubkey] })]);
      for (const line of printed.split('\n').filter((text) => text !== '')) {
        const { id } = JSON.parse(line) as Wrapped;
        if (!opened.has(id)) opened.set(id, JSON.parse(await program.run(['unwrap'], line)) as Rumor);
      }
      return [...opened.values()];
    },
  };
}

/** `nak event | nak gift wrap | nak event`, and `nak req | nak gift unwrap`. */
export async function nakChatClient(nak: Program, secret: string): Promise<ChatClient> {
  const pubkey = (await nak.run(['key', 'public', secret])).trim();
  const opened = new Map<string, Rumor>();
  return {
    pubkey,
    send: async (text, to, relay) => {
      const rumor = await nak.run(['event', '--sec', secret, '-k', '14', '-c', text, '-p', to]);
      const wrap = await nak.run(['gift', 'wrap', '--sec', secret, '-p', to], rumor);
      await nak.run(['event', relay], wrap);
    },
    heard: async (relay) => {
      for await (const wrap of jsonLines(nak.path, ['req', '-k', '1059', '-p', pubkey, relay], 10_000)) {
        const { id } = wrap as Wrapped;
        if (opened.has(id)) continue;
        const rumor = await nak.run(['gift', 'unwrap', '--sec', secret], JSON.stringify(wrap));
        opened.set(id, JSON.parse(rumor) as Rumor);
      }
      return [...opened.values()];
    },
  };
}
