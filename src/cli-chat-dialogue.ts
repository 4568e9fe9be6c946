/** The dialogue of `chat` at a terminal: turns, commands, tokens that are pasted. */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { ExitError } from './base/error.ts';
import type { Chat } from './cli-chat.ts';
import { explained, footer, sats, spoken } from './cli-chat-words.ts';
import type { CommandContext } from './cli-context.ts';
import { printable } from './cli-output.ts';

const HELP = [
  '/balance        what is on your account',
  '/models         what the node sells',
  '/model <id>     talk to another model',
  '/topup <token>  put a token on the account; pasting one does the same',
  '/refund         take all of it back as a token',
  '/new            forget what was said',
  '/system <text>  instructions for the model',
  '/quit           end',
].join('\n');

/** Ends with /quit, the end of the input, or a signal at the prompt; a signal during an answer ends the answer. */
export async function runDialogue(context: CommandContext, chat: Chat): Promise<void> {
  const { io } = context;
  const print = (text: string): void => void io.stdout.write(text);
  const output = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      io.stderr.write(chunk.toString());
      done();
    },
  });
  const lines = createInterface({ input: io.stdin, output, prompt: '> ', terminal: false });
  let answering: AbortController | undefined;
  io.onSignal(() => (answering === undefined ? lines.close() : answering.abort()));
  print(
    `${chat.node} over ${chat.how === 'dm' ? 'encrypted messages' : 'HTTP'}, model ${chat.conversation.model}. /help lists commands.\n`,
  );
  lines.prompt();
  for await (const line of lines) {
    const text = line.trim();
    if (text === '/quit') break;
    try {
      answering = new AbortController();
      if (text !== '') print(await obey(text, chat, print, answering.signal));
    } catch (error) {
      const told = explained(error);
      if (!(told instanceof ExitError)) throw error;
      print(`\n${printable(told.message)}\n`);
    } finally {
      answering = undefined;
    }
    lines.prompt();
  }
  lines.close();
}

/** What is printed in the end. An unknown command is never sent as a prompt: that would cost. */
async function obey(
  text: string,
  chat: Chat,
  print: (text: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const { account } = chat;
  const [command = '', ...words] = text.split(/\s+/);
  const rest = words.join(' ');
  if (/^cashu[AB]\S+$/.test(text)) return topUp(chat, text);
  switch (command) {
    case '/balance':
      return `${sats((await account.balance()) ?? 0)} sat\n`;
    case '/models':
      return `${(await account.models()).map(printable).join('\n')}\n`;
    case '/model':
      if (rest === '') return `${chat.conversation.model}\n`;
      chat.conversation.use(rest);
      return `talking to ${printable(rest)}\n`;
    case '/topup':
      return rest === '' ? 'paste the token after /topup\n' : topUp(chat, rest);
    case '/refund':
      return `${printable(await account.refund())}\n`;
    case '/new':
      chat.conversation.reset();
      return 'forgotten\n';
    case '/system':
      chat.conversation.reset(rest);
      return 'noted; what was said is forgotten\n';
    default:
      if (command.startsWith('/')) return `${HELP}\n`;
  }
  const { cost } = await chat.conversation.say(text, (part) => print(spoken(part)), signal);
  return `\n(${footer(cost, await account.balance())})\n`;
}

const topUp = async ({ account }: Chat, token: string): Promise<string> => {
  const added = await account.topUp(token);
  return `${sats(added)} sat added, ${sats((await account.balance()) ?? 0)} sat there\n`;
};
