/** The chat bot on a real ledger and a real gateway, with a real echo server behind it and a mint in memory. */
import { onTestFinished } from 'vitest';
import { accountOfPubkey } from '../../src/base/id.ts';
import { ZERO } from '../../src/base/money.ts';
import { createSealer } from '../../src/base/seal.ts';
import { Secret } from '../../src/base/secret.ts';
import { systemClock, unixSeconds } from '../../src/base/time.ts';
import { tokenTextHash } from '../../src/base/token-text.ts';
import { createTestModel } from '../../src/demo/model.ts';
import { createGateway } from '../../src/gateway/gateway.ts';
import { type Chat, type ChatMessage, createChat } from '../../src/nostr/chat.ts';
import type { Address } from '../../src/nostr/chat-pending.ts';
import type { ChatModel } from '../../src/nostr/chat-words.ts';
import type { RateSource } from '../../src/pricing/rate.ts';
import { createOpenAiUpstream } from '../../src/upstream/openai.ts';
import { fakeClock } from '../base/clock.ts';
import { token, toyWallet } from '../gateway/kit.ts';
import { newPlace } from '../ledger/fixture.ts';
import { SIM_MODEL, createSimCatalogue } from '../sim/upstream.ts';
import { type LogLine, recordingLogger } from '../wallet/harness.ts';

export const ALICE = 'ab'.repeat(32);
export const BOB = 'cd'.repeat(32);
const KEY = new Uint8Array(32).fill(7);

/** Text of a token as an app would paste it. */
export const ecash = (sats: number, name: string): string =>
  `cashuB${Buffer.from(token(sats, name)).toString('base64url')}`;

export interface Told extends Address {
  text: string;
}

export async function newChat({ models = [SIM_MODEL] }: { models?: string[] } = {}) {
  const clock = fakeClock();
  const place = await newPlace();
  const toy = toyWallet();
  const wallet = {
    ...toy,
    inspect: (text: string) => {
      const inner = Buffer.from(text.replace(/^cashuB/, ''), 'base64url').toString();
      return { ...toy.inspect(inner), textHash: tokenTextHash(text) };
    },
  };
  const log: LogLine[] = [];
  const model = await createTestModel({ models: ['echo'] });
  const upstream = createOpenAiUpstream({
    id: 'echo',
    baseUrl: `${model.url}/v1`,
    clock: systemClock,
    log: recordingLogger(log),
  });
  const told: Told[] = [];
  let deaf = false;
  let running = await open();
  let count = 0;

  async function open() {
    const ledger = await place.open();
    const gateway = createGateway({
      ledger,
      wallet,
      catalogue: createSimCatalogue([upstream]),
      rate: { msatPerUsd: () => 1_000_000 } as unknown as RateSource,
      limits: { requestsPerMinute: 0, identicalRequests: 0 },
      childKeyCost: ZERO,
      secrets: { sealer: createSealer(KEY), keySecret: new Secret(KEY) },
      clock,
      log: recordingLogger(log),
    });
    const chat: Chat = createChat({
      gateway,
      models: () =>
        models.map((id): ChatModel => ({
          id,
          aliases: [],
          in: 55_000_000,
          out: 166_000_000,
          request: 0,
        })),
      tell: (to, texts) => {
        if (deaf) return Promise.resolve(false);
        told.push(...texts.map((text) => ({ ...to, text })));
        return Promise.resolve(true);
      },
      store: {
        get: (key) => ledger.getValue(key),
        put: (key, value) => ledger.putValue(key, value).durable,
      },
      clock,
      log: recordingLogger(log),
    });
    gateway.start();
    return { ledger, gateway, chat };
  }
  async function close(): Promise<void> {
    await running.chat.stop();
    await running.gateway.close();
    await running.ledger.close();
  }
  onTestFinished(async () => {
    model.resume();
    await close();
    await upstream.close();
    await model.close();
  });

  const message = (text: string, changes: Partial<ChatMessage> = {}): ChatMessage => {
    count += 1;
    const id = String(count).padStart(64, '0');
    return { id, sender: ALICE, from: ['wss://relay.test'], text, createdAt: unixSeconds(clock), ...changes };
  };
  const kit = {
    clock,
    model,
    wallet,
    log,
    told,
    message,
    get running() {
      return running;
    },
    /** What the bot tells about one message, once it is answered. */
    say: async (text: string | ChatMessage): Promise<string[]> => {
      const before = told.length;
      await running.chat.receive(typeof text === 'string' ? message(text) : text);
      return told.slice(before).map(({ text }) => text);
    },
    balance: (sender = ALICE): number => running.ledger.account(accountOfPubkey(sender))?.available ?? 0,
    /** No relay takes anything. */
    deafen: (is: boolean): void => void (deaf = is),
    /** The next process on the same disk; with `crash` nothing of the old one is waited for. */
    restart: async (): Promise<void> => {
      await close();
      running = await open();
      running.chat.start();
    },
  };
  return kit;
}
