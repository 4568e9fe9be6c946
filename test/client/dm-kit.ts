/** A node for tests of the buyer's side: opens wraps on real relays and answers as the test says, losses included. */
import { type Random, systemRandom } from '../../src/base/id.ts';
import { silentLogger } from '../../src/base/log.ts';
import { type Clock, systemClock, unixSeconds } from '../../src/base/time.ts';
import { type DmClient, createDmClient } from '../../src/client/dm.ts';
import type { TestRelay } from '../../src/demo/relay.ts';
import { type ClientFrame, type NodeFrame, frameText, readClientFrame } from '../../src/protocol/dmi.ts';
import type { NodeKey } from '../../src/relay/relay.ts';
import { createWrapper, openWrap } from '../../src/relay/wrap.ts';
import { entry, newKey, type openings } from '../nostr/kit.ts';

type Openings = ReturnType<typeof openings>;

export interface ScriptedNode {
  key: NodeKey;
  /** Every frame that arrived, in order, each wrap once. */
  frames: ClientFrame[];
  /** Kinds of the wraps of `frames`. */
  kinds: number[];
  send: (frame: NodeFrame) => void;
}

/** Answers go out on every relay of the node, as a stranger's would be: `answer` sees the frame and who sent it. */
export async function scriptedNode(
  open: Openings,
  relays: TestRelay[],
  answer: (frame: ClientFrame, send: (frame: NodeFrame) => void) => void | Promise<void>,
  options: { key?: NodeKey } = {},
): Promise<ScriptedNode> {
  const { key = newKey() } = options;
  const set = open.set(relays.map(({ url }) => entry(url, { roles: ['rpc'] })));
  set.start();
  const wrapper = createWrapper(key, systemRandom, systemClock);
  const urls = relays.map(({ url }) => url);
  const seen = new Set<string>();
  const node: ScriptedNode = { key, frames: [], kinds: [], send: () => undefined };
  const subscription = set.subscribe({
    roles: ['rpc'],
    filter: () => ({
      kinds: [1059, 21059],
      '#p': [key.pubkey],
      since: unixSeconds(systemClock) - 3 * 86_400,
      limit: 500,
    }),
    onEvent: (event) => {
      if (seen.has(event.id)) return;
      seen.add(event.id);
      const opened = openWrap(event, key);
      if ('refused' in opened) return;
      const read = readClientFrame(opened.rumor.content);
      if (!('frame' in read)) return;
      node.frames.push(read.frame);
      node.kinds.push(event.kind);
      const send = (frame: NodeFrame): void => {
        const parts = { kind: 28421, content: frameText(frame) };
        void set.publishTo(wrapper.wrap(parts, opened.sender, { kind: 21059 }), urls);
      };
      node.send = send;
      void answer(read.frame, send);
    },
  });
  await subscription.ready(5_000);
  return node;
}

export function dmClient(
  open: Openings,
  relays: (TestRelay | string)[],
  peer: NodeKey,
  options: { key?: NodeKey; clock?: Clock; announced?: string[]; random?: Random } = {},
): DmClient {
  const { key = newKey(), clock = systemClock, announced = [], random = systemRandom } = options;
  const urls = relays.map((relay) => (typeof relay === 'string' ? relay : relay.url));
  const set = open.set(
    urls.map((url) => entry(url, { roles: ['rpc', 'dm'] })),
    { key, clock, log: silentLogger },
  );
  const client = createDmClient({ relays: set, key, peer: peer.pubkey, announced, clock, random });
  open.onClose(async () => client.close());
  return client;
}
