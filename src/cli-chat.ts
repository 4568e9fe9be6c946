/** `chat`: talk to a node, over HTTP or over encrypted messages, once or turn by turn. */
import type { Command } from 'commander';
import { EXIT, ExitError } from './base/error.ts';
import { pubkeysOf } from './cli-buyer-dir.ts';
import { buyerKey, secretOf } from './cli-buyer-key.ts';
import { runDialogue } from './cli-chat-dialogue.ts';
import { explained, footer, spoken } from './cli-chat-words.ts';
import { type CommandContext, withConfig } from './cli-context.ts';
import { type DmOptions, openDm, withDm } from './cli-dm.ts';
import { addressOf } from './cli-node-address.ts';
import { systemClock } from './base/time.ts';
import { type BuyerAccount, createBuyerAccount } from './client/account.ts';
import { type Channel, createDmChannel } from './client/channel.ts';
import { type Conversation, createConversation } from './client/conversation.ts';

interface ChatOptions extends DmOptions {
  node: string;
  dm?: boolean;
  model?: string;
  once?: string;
  system?: string;
  apiKey?: string;
  topup?: string;
  allowPrivate?: boolean;
}

export interface Chat {
  conversation: Conversation;
  account: BuyerAccount;
  node: string;
  how: Channel['how'];
}

export function addChatCommand(program: Command, context: CommandContext): void {
  withDm(withConfig(program.command('chat')))
    .description('talk to a node, over HTTP or over encrypted messages')
    .requiredOption('--node <npub|url>', 'the node')
    .option('--dm', 'over encrypted messages; the node needs no public address')
    .option('--model <id>', 'model (default: the first that the node sells)')
    .option('--once <text>', 'ask this and end; so does a question from a pipe')
    .option('--system <text>', 'instructions for the model')
    .option(
      '--api-key <reference>',
      'key or token that pays, env:NAME or file:PATH (default: your Nostr key)',
    )
    .option('--topup <reference>', 'token to put on the account first, env:NAME or file:PATH')
    .option('--allow-private', 'also contact an announced private or loopback address')
    .action((options: ChatOptions) => runChat(context, options));
}

async function runChat(context: CommandContext, options: ChatOptions): Promise<void> {
  const { stdin } = context.io;
  const interactive = options.once === undefined && (stdin as { isTTY?: boolean }).isTTY === true;
  const question = options.once ?? (interactive ? '' : await readAll(stdin));
  if (!interactive && question.trim() === '')
    throw new ExitError(EXIT.usage, 'nothing to ask: --once or a pipe');
  const { channel, close } = await openChannel(context, options);
  try {
    const account = createBuyerAccount(channel);
    if (options.topup !== undefined) {
      await account.topUp((await secretOf(context.io, options.topup, '--topup')).reveal());
    }
    const model = options.model ?? (await account.models())[0];
    if (model === undefined) throw new ExitError(EXIT.notFound, 'the node sells no model');
    const { system } = options;
    const conversation = createConversation({ channel, model, ...(system === undefined ? {} : { system }) });
    const chat: Chat = { conversation, account, node: options.node, how: channel.how };
    if (interactive) await runDialogue(context, chat);
    else await askOnce(context, options, chat, question);
  } catch (error) {
    throw explained(error);
  } finally {
    await close();
  }
}

async function askOnce(
  context: CommandContext,
  options: ChatOptions,
  { conversation, account, node, how }: Chat,
  question: string,
): Promise<void> {
  const output = context.output(options);
  const stop = new AbortController();
  context.io.onSignal(() => stop.abort());
  const { text, cost } = await conversation.say(
    question,
    (part) => {
      if (!output.json) context.io.stdout.write(spoken(part));
    },
    stop.signal,
  );
  const balance = await account.balance();
  const result = {
    node,
    how,
    model: conversation.model,
    text,
    cost_msats: cost ?? null,
    balance_msats: balance ?? null,
  };
  output.result(result, () => '');
  output.note(footer(cost, balance));
}

async function openChannel(
  context: CommandContext,
  options: ChatOptions,
): Promise<{ channel: Channel; close: () => Promise<void> }> {
  const bearer =
    options.apiKey === undefined ? undefined : await secretOf(context.io, options.apiKey, '--api-key');
  if (options.dm === true) {
    const [peer = ''] = pubkeysOf([options.node], '--node');
    const link = await openDm(context, options, peer);
    const auth = bearer === undefined ? undefined : { bearer: bearer.reveal() };
    return { channel: createDmChannel(link.client, auth), close: link.close };
  }
  const { url, pubkey } = await addressOf(context, options);
  // A URL that somebody typed is their own choice; one that was announced is a stranger's word.
  const allowPrivate = pubkey === undefined || options.allowPrivate === true;
  const credential = bearer === undefined ? { key: await buyerKey(context.io, options) } : { bearer };
  const { createHttpChannel } = await import('./client/channel-http.ts');
  return {
    channel: createHttpChannel({ url, allowPrivate, credential, clock: systemClock }),
    close: () => Promise.resolve(),
  };
}

async function readAll(stdin: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stdin) {
    text += String(chunk);
    if (text.length > MOST_CHARS) throw new ExitError(EXIT.usage, 'the question is too long');
  }
  return text;
}
/** About what fits into the context of large models. */
const MOST_CHARS = 4_000_000;
