/** `openMessages()`, as a program uses it: the node says no, and a loop over events must not take it for nothing. */
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { DmRefusal, type Messages, openMessages } from '../../src/messages.ts';
import type { NodeFrame } from '../../src/protocol/dmi.ts';
import { openings, until } from '../nostr/kit.ts';
import { scriptedNode } from './dm-kit.ts';

const open = openings();
afterEach(open.close);

const chat = { method: 'POST', path: '/v1/chat/completions', body: '{"model":"m","stream":true}' } as const;
const poor = (id: string): NodeFrame => ({
  t: 'err',
  id,
  status: 402,
  code: 'insufficient_balance',
  message: 'Insufficient balance',
  need_msat: 9,
});

/** A program and a node that answers each request with these frames. */
async function program(answer: (id: string) => NodeFrame[]): Promise<Messages & { heard: () => string[] }> {
  const relay = await open.relay();
  const heard: string[] = [];
  const node = await scriptedNode(open, [relay], (frame, send) => {
    heard.push(frame.t);
    if (frame.t === 'req') answer(frame.id).forEach(send);
  });
  const messages = openMessages({ node: node.key.npub, relays: [relay.url] });
  open.onClose(messages.close);
  return { ...messages, heard: () => heard };
}

/** The loop of README.md. */
async function loop(node: Messages, seen: string[] = []): Promise<string[]> {
  for await (const { data } of node.ask(chat)) seen.push(data);
  return seen;
}

const refusalOf = (node: Messages, seen?: string[]): Promise<unknown> =>
  loop(node, seen).then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a refusal', () => {
  test('is an error with status, code and message to whoever loops over events, and an answer to `call`', async () => {
    const node = await program((id) => [poor(id)]);
    const error = await refusalOf(node);
    expect(error).toBeInstanceOf(DmRefusal);
    expect(error).toMatchObject({
      name: 'DmRefusal',
      status: 402,
      code: 'insufficient_balance',
      message: 'Insufficient balance',
    });
    expect((await node.call(chat)).status).toBe(402);
    // It was over: there is nothing to cancel.
    expect(node.heard()).toEqual(['req', 'req']);
  });

  test('that comes after some events is an error too', async () => {
    const node = await program((id) => [{ t: 'data', id, seq: 0, d: 'one ' }, poor(id)]);
    const seen: string[] = [];
    expect(await refusalOf(node, seen)).toMatchObject({ status: 402, code: 'insufficient_balance' });
    expect(seen).toEqual(['one ']);
  });

  test('without an envelope is told by its status', async () => {
    const node = await program((id) => [{ t: 'res', id, status: 502, h: {}, body: '<html>', cost_msat: 0 }]);
    expect(await refusalOf(node)).toMatchObject({
      status: 502,
      code: 'error',
      message: 'The node answered with status 502.',
    });
  });

  test('hands over the change that came with it, and shows it to nobody who prints it', async () => {
    const body = '{"error":{"message":"Stopped","code":"upstream_error"}}';
    const node = await program((id) => [
      { t: 'res', id, status: 502, h: {}, body, cost_msat: 7, change: 'cashuBchange' },
    ]);
    const error = (await refusalOf(node)) as DmRefusal;
    expect(error).toMatchObject({ code: 'upstream_error', answer: { change: 'cashuBchange', cost: 7 } });
    expect(inspect(error, { showHidden: true, depth: 9 }) + JSON.stringify(error)).not.toContain('cashuB');
  });
});

test('leaving the loop cancels the request', async () => {
  const node = await program((id) => [{ t: 'data', id, seq: 0, d: 'one ' }]);
  for await (const { data } of node.ask(chat)) {
    expect(data).toBe('one ');
    break;
  }
  await until(() => node.heard().includes('cancel'));
});
