/**
 * Chat: talks with people who write to the node from any NIP-17 app. It knows of messages and of the gateway, and
 * nothing of relays. Each person's messages are answered one after the other; everybody has a budget, and who has
 * never paid a small one.
 */
import { type Cancel, cancel, newCancel } from '../base/cancel.ts';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { createChatBudgets } from './chat-budgets.ts';
import { type ChatCommand, readChat } from './chat-command.ts';
import { createChatMemory } from './chat-memory.ts';
import { createChatMoney, credentialOf } from './chat-money.ts';
import { type Address, createPendingList } from './chat-pending.ts';
import { takeTurn } from './chat-turn.ts';
import { type ChatModel, HELP, amount, footer, modelList, priceText, refusal } from './chat-words.ts';
import type { ValueStore } from './created-at.ts';

/** A message as its author wrote it. */
export interface ChatMessage extends Address {
  text: string;
  /** Unix seconds, as the author says. */
  createdAt: number;
}

/** One sender's messages, answered in their order. */
interface Line {
  waiting: number;
  end: Promise<void>;
  stop: Cancel | undefined;
  isFullTold: boolean;
}

export interface Chat {
  /** Resolves when it was answered, or dropped. Never rejects. */
  receive: (message: ChatMessage) => Promise<void>;
  /** Begins to look after what is pending, also of the process before. */
  start: () => void;
  /** People whose messages are being answered. */
  running: () => number;
  /** Ends what is still being answered, and waits until it is settled and told. */
  stop: () => Promise<void>;
}

export function createChat(parts: {
  gateway: Pick<Gateway, 'serve' | 'accounts' | 'lightning' | 'lookUps'>;
  /** What is sold now, in the operator's order; the first is used until another one is chosen. */
  models: () => readonly ChatModel[];
  /** Sends texts in order; true when a relay took all of them. */
  tell: (to: Address, texts: readonly string[]) => Promise<boolean>;
  store: ValueStore;
  clock: Clock;
  log: Logger;
}): Chat {
  const { gateway, models, tell, store, clock, log } = parts;
  const { chat } = LIMITS;
  const memory = createChatMemory({ clock });
  const pending = createPendingList({ store, clock });
  const money = createChatMoney({ gateway, pending, tell, clock, log });
  const budgets = createChatBudgets({ gateway, clock });
  /** Ids of rumors that were taken up; the oldest are forgotten. What moves money is once for ever in the ledger. */
  const seen = new Set<string>();
  const lines = new Map<string, Line>();
  const stopped = new AbortController();
  let looking: Promise<void> | undefined;

  const noteFailure = (error: unknown): void => log.error('nostr.chat.failed', { error: errorKind(error) });

  function isNew(id: string): boolean {
    if (seen.has(id)) return false;
    seen.add(id);
    const [oldest] = seen;
    if (seen.size > chat.seenMax && oldest !== undefined) seen.delete(oldest);
    return true;
  }

  const find = (name: string): ChatModel | undefined =>
    models().find(({ id, aliases }) => id === name || aliases.includes(name));
  const modelOf = (sender: string): ChatModel | undefined => find(memory.model(sender) ?? '') ?? models()[0];

  async function prompt(message: ChatMessage, text: string): Promise<string> {
    const { id, sender } = message;
    const model = modelOf(sender);
    if (model === undefined) return 'No model is sold here at the moment. Nothing was charged.';
    const line = lines.get(sender);
    const stop = newCancel();
    if (line) line.stop = stop;
    const [system, turns] = [memory.system(sender), memory.turns(sender)];
    const turn = { id, credential: credentialOf(sender), model: model.id, system, turns, prompt: text, stop };
    const {
      text: answer,
      receipt,
      failure,
    } = await takeTurn(gateway.serve, turn).finally(() => {
      if (line) line.stop = undefined;
    });
    if (answer !== '') memory.keep(sender, text, answer);
    const end = stop.cancelled ? '(stopped)' : (failure ?? '');
    const said = [answer, end].filter((part) => part !== '').join('\n\n') || '(The answer was empty.)';
    return said + footer(receipt.cost.total, receipt.balance, model.id);
  }

  async function replyTo(
    message: ChatMessage,
    command: Exclude<ChatCommand, { kind: 'deposit' }>,
  ): Promise<string | string[] | undefined> {
    const { sender } = message;
    switch (command.kind) {
      case 'nothing':
      case 'stop':
        return undefined;
      case 'help':
        return HELP;
      case 'wrong':
        return `${command.say} /help lists what I understand.`;
      case 'balance': {
        const { spendable, account } = await gateway.accounts.info(credentialOf(sender));
        const held = account.held > 0 ? ` ${amount(account.held)} are set aside for running requests.` : '';
        return `Your balance is ${amount(spendable)}.${held} ${account.totalRequests} requests, ${amount(account.totalSpent)} spent.`;
      }
      case 'models':
        return modelList(models(), command.text, modelOf(sender)?.id);
      case 'price':
      case 'model': {
        const model = command.text === '' ? modelOf(sender) : find(command.text);
        if (model === undefined)
          return 'There is no such model here. /models lists all, /models text searches.';
        if (command.kind === 'price' || command.text === '') return priceText(model);
        memory.setModel(sender, model.id);
        return `From now on I ask ${priceText(model)}`;
      }
      case 'topup':
        return money.invoice(message, command.sats);
      case 'refund':
        await money.refund(message, command.sats);
        return undefined;
      case 'new':
        memory.forget(sender);
        return 'Forgotten. We begin anew.';
      case 'system': {
        const text = command.text.slice(0, chat.systemCharsMax);
        memory.setSystem(sender, text === '' ? undefined : text);
        return text === '' ? 'The system text is gone.' : 'The model is told so from now on.';
      }
      case 'prompt':
        return prompt(message, command.text);
    }
  }

  /** A stranger's good token has made him none; whoever sends junk is told so a few times. */
  async function takeMoney(
    message: ChatMessage,
    { tokens, beyond }: Extract<ChatCommand, { kind: 'deposit' }>,
    isAllowed: boolean,
  ): Promise<void> {
    const { sender } = message;
    const { text, isUntaken } = await money.deposit(message, tokens, beyond);
    if ((isAllowed && (await budgets.mayBeAnswered(sender))) || (isUntaken && budgets.mayBeNoticed(sender)))
      await tell(message, [text]);
  }

  /** @param isAllowed false: money beyond the budget of its sender, which is taken without a word. */
  async function answer(message: ChatMessage, command: ChatCommand, isAllowed: boolean): Promise<void> {
    try {
      if (command.kind === 'deposit') return await takeMoney(message, command, isAllowed);
      const texts = await replyTo(message, command);
      if (texts !== undefined) await tell(message, typeof texts === 'string' ? [texts] : texts);
    } catch (error) {
      const known = error instanceof NodeError;
      if (!known) log.error('nostr.chat.failed', { command: command.kind, error: errorKind(error) });
      const text = known ? refusal(error) : 'Something went wrong here. /balance tells what you have.';
      await tell(message, [text]);
    }
  }

  /** One after the other, so that a conversation is in order and an account is not asked for two holds at once. */
  async function inLine(message: ChatMessage, command: ChatCommand, isAllowed: boolean): Promise<void> {
    const { sender } = message;
    const line = lines.get(sender) ?? newLine();
    if (command.kind === 'deposit' && line.waiting >= chat.moneyWaitingMax) return refuseMoney(message, line);
    if (command.kind !== 'deposit' && line.waiting >= chat.waitingMax)
      return void (await tell(message, [
        'You write faster than I can answer; nothing was charged for this.',
      ]));
    line.waiting += 1;
    lines.set(sender, line);
    line.end = line.end.then(() => answer(message, command, isAllowed)).catch(noteFailure);
    try {
      await line.end;
    } finally {
      line.waiting -= 1;
      if (line.waiting === 0) lines.delete(sender);
    }
  }

  /** Told once for all that do not fit; each of them is taken when it comes again. */
  async function refuseMoney({ id, ...to }: ChatMessage, line: Line): Promise<void> {
    seen.delete(id);
    log.warn('nostr.chat.full', { waiting: line.waiting });
    if (line.isFullTold) return;
    line.isFullTold = true;
    await tell({ id, ...to }, [
      'These are more tokens than I can take at once. Those that I do not confirm were not taken; send them again later.',
    ]);
  }

  async function take(message: ChatMessage): Promise<void> {
    const { id, sender, text, createdAt } = message;
    const command = readChat(text);
    const age = unixSeconds(clock) - createdAt;
    // Money is taken however late it comes.
    const isMoney = command.kind === 'deposit';
    if (!isMoney && (age > chat.commandSecondsMax || age < -chat.futureSecondsMax)) return;
    if (!isNew(id)) return;
    const isAllowed = budgets.mayWrite(sender);
    if (!isMoney && !isAllowed) return;
    if (!isMoney && !(await budgets.mayBeAnswered(sender))) return;
    if (command.kind === 'stop') {
      const running = lines.get(sender)?.stop;
      if (running) cancel(running);
      else await tell(message, ['There is nothing to stop.']);
    } else if (command.kind === 'prompt' && age > chat.promptSecondsMax)
      await tell(message, ['This message came too late: it expired and was not charged. Write it anew.']);
    else await inLine(message, command, isAllowed);
  }

  async function lookAround(): Promise<void> {
    while (!stopped.signal.aborted) {
      // A disk that is full now may have room at the next look.
      await money.lookAfter().catch(noteFailure);
      await clock.sleep(chat.lookMs, stopped.signal);
    }
  }

  return {
    receive: (message) => take(message).catch(noteFailure),
    running: () => lines.size,
    start: () => void (looking ??= lookAround()),
    stop: async () => {
      stopped.abort();
      for (const { stop } of lines.values()) if (stop) cancel(stop);
      const ends = Promise.all([looking, ...[...lines.values()].map(({ end }) => end)]);
      await Promise.race([ends, clock.sleep(LIMITS.http.drainMs)]);
    },
  };
}

const newLine = (): Line => ({ waiting: 0, end: Promise.resolve(), stop: undefined, isFullTold: false });
