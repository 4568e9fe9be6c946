/** A client of dmi/1 for tests: it sends what it is told, as often and as oddly as a test wants, and keeps what comes. */
import { randomBytes } from 'node:crypto';
import { systemRandom } from '../../src/base/id.ts';
import { silentLogger } from '../../src/base/log.ts';
import { Secret } from '../../src/base/secret.ts';
import { systemClock } from '../../src/base/time.ts';
import {
  type ClientFrame,
  type ErrorFrame,
  type NodeFrame,
  type RequestFrame,
  type ResultFrame,
  frameText,
  readNodeFrame,
} from '../../src/protocol/dmi.ts';
import { createPartsInbox, packBody, unpackBody } from '../../src/protocol/dmi-body.ts';
import { KIND } from '../../src/protocol/kinds.ts';
import { nodeKey } from '../../src/relay/key.ts';
import type { NostrEvent } from '../../src/relay/relay.ts';
import { createRelaySet } from '../../src/relay/set.ts';
import { createWrapper, openWrap } from '../../src/relay/wrap.ts';
import { until } from './support.ts';

export const newId = (): string => randomBytes(16).toString('hex');

export interface Got {
  frame: NodeFrame;
  kind: number;
  from: string;
}

export interface DmClient {
  pubkey: string;
  got: Got[];
  /** Frames about one request, each once, in the order they came. */
  about: (id: string) => NodeFrame[];
  wrap: (frame: ClientFrame, kind?: 1059 | 21059) => NostrEvent;
  publish: (event: NostrEvent, ...urls: string[]) => Promise<void>;
  send: (frame: ClientFrame, kind?: 1059 | 21059) => Promise<void>;
  /** A request, and its last frame with its body put together. */
  ask: (over: Partial<RequestFrame> & { content?: string | Buffer }) => Promise<Answer>;
  end: (id: string) => Promise<Answer>;
  close: () => Promise<void>;
}

export interface Answer {
  id: string;
  last: ResultFrame | ErrorFrame;
  bytes: Buffer;
}

export const request = (over: Partial<RequestFrame> = {}): RequestFrame => ({
  v: 1,
  t: 'req',
  id: newId(),
  exp: Math.floor(Date.now() / 1000) + 120,
  method: 'GET',
  path: '/v1/info',
  ...over,
});

export async function dmClient(
  node: string,
  urls: readonly string[],
  secret: string = randomBytes(32).toString('hex'),
): Promise<DmClient> {
  const key = nodeKey(new Secret(secret));
  const wrapper = createWrapper(key, systemRandom, systemClock);
  const relays = createRelaySet({
    relays: urls.map((url) => ({ url, roles: ['dm', 'rpc'], perMinute: 60_000, burst: 10_000 })),
    key,
    clock: systemClock,
    log: silentLogger,
  });
  relays.start();
  const got: Got[] = [];
  const sub = relays.subscribe({
    filter: () => ({ kinds: [KIND.wrap, KIND.ephemeralWrap], '#p': [key.pubkey], since: 0 }),
    roles: ['dm'],
    onEvent: (event, from) => {
      const opened = openWrap(event, key);
      if (!('rumor' in opened) || opened.sender !== node) return;
      const read = readNodeFrame(opened.rumor.content);
      if ('frame' in read) got.push({ frame: read.frame, kind: event.kind, from });
      else throw new Error(`a frame that is none: ${read.refused} ${opened.rumor.content}`);
    },
  });
  await sub.ready(20_000);

  const wrap: DmClient['wrap'] = (frame, kind = KIND.ephemeralWrap) =>
    wrapper.wrap({ kind: KIND.frame, content: frameText(frame) }, node, { kind });
  const publish: DmClient['publish'] = async (event, ...to) =>
    void (await relays.publishTo(event, to.length === 0 ? [...urls] : to));
  const about = (id: string): NodeFrame[] => {
    const seen = new Map<string, NodeFrame>();
    for (const { frame } of got) if ('id' in frame && frame.id === id) seen.set(JSON.stringify(frame), frame);
    return [...seen.values()];
  };
  const lastOf = (id: string) =>
    about(id).find((frame): frame is ResultFrame | ErrorFrame => frame.t === 'res' || frame.t === 'err');

  const end: DmClient['end'] = async (id) => {
    await until(`the end of ${id}`, () => lastOf(id) !== undefined);
    const last = lastOf(id) as ResultFrame | ErrorFrame;
    if (last.t === 'err' || last.parts === undefined) return { id, last, bytes: await unpackBody(last) };
    const inbox = createPartsInbox(last.parts);
    await until('all parts', () => {
      for (const frame of about(id)) if (frame.t === 'part') inbox.take(frame);
      return inbox.missing().length === 0;
    });
    return { id, last, bytes: await inbox.body() };
  };

  return {
    pubkey: key.pubkey,
    got,
    about,
    wrap,
    publish,
    send: (frame, kind) => publish(wrap(frame, kind)),
    ask: async ({ content, ...over }) => {
      const packed = content === undefined ? undefined : await packBody(Buffer.from(content));
      const frame = request({ ...(content !== undefined && { method: 'POST' }), ...packed?.fields, ...over });
      await publish(wrap(frame));
      for (const part of packed?.parts ?? []) await publish(wrap({ ...part, id: frame.id }));
      return end(frame.id);
    },
    end,
    close: async () => {
      sub.close();
      await relays.close();
    },
  };
}
