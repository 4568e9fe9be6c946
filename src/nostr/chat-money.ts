/** Chat money: tokens that are pasted, invoices that are asked for, refunds that must arrive. */
import { NodeError } from '../base/error.ts';
import { sha256Hex } from '../base/id.ts';
import { LIMITS } from '../base/limits.ts';
import { errorKind, type Logger } from '../base/log.ts';
import type { Secret } from '../base/secret.ts';
import { type Clock, unixSeconds } from '../base/time.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Credential } from '../gateway/request.ts';
import type { Address, Pending, PendingList } from './chat-pending.ts';
import { amount, refusal } from './chat-words.ts';

export interface Deposited {
  text: string;
  isUntaken: boolean;
}

export interface ChatMoney {
  /** What to tell about each token. `isUntaken`: one is still good and may be sent again, which its owner must hear. */
  deposit: (to: Address, tokens: readonly Secret[], beyond: number) => Promise<Deposited>;
  /** What to tell; the invoice stands alone, so that it can be copied. */
  invoice: (to: Address, sats: number) => Promise<string[]>;
  /** Tells it itself, now or as soon as the mint answers and a relay takes it. */
  refund: (to: Address, sats: number | undefined) => Promise<void>;
  /** One look at everything that is pending. */
  lookAfter: () => Promise<void>;
}

export const credentialOf = (sender: string): Credential & { kind: 'pubkey' } => ({
  kind: 'pubkey',
  pubkey: sender,
  source: () => `npub:${sender}`,
});

export function createChatMoney(parts: {
  gateway: Pick<Gateway, 'accounts' | 'lightning' | 'lookUps'>;
  pending: PendingList;
  /** True when at least one relay took all of it. */
  tell: (to: Address, texts: readonly string[]) => Promise<boolean>;
  clock: Clock;
  log: Logger;
}): ChatMoney {
  const { gateway, pending, tell, clock, log } = parts;
  const { accounts, lightning, lookUps } = gateway;
  /** Refunds that are being made at this moment, and when those that did not work are tried again. */
  const busy = new Set<string>();
  const notBefore = new Map<string, number>();

  const balance = async (sender: string): Promise<string> =>
    amount((await accounts.info(credentialOf(sender))).spendable);

  async function depositOne(to: Address, token: Secret): Promise<Deposited> {
    const { id, sender, from } = to;
    try {
      const { credited, replayed } = await accounts.topUp(credentialOf(sender), token);
      const what = replayed ? 'This token was paid in before' : 'Received';
      const text = `${what}: ${amount(credited)}. Your balance is ${await balance(sender)}.`;
      return { text, isUntaken: false };
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      const operation = error.options.metadata?.['operation_id'];
      if (error.code === 'mint_unreachable' && typeof operation === 'string') {
        // Several tokens may come in one message.
        const name = `${id}:${operation}`;
        const noted = await pending.add({
          id: name,
          sender,
          from,
          at: unixSeconds(clock),
          kind: 'deposit',
          operation,
        });
        const after = noted ? 'I write when it is' : '/balance tells when it is';
        return {
          text: `The mint is slow. Your token is on record and credited once; ${after}.`,
          isUntaken: false,
        };
      }
      const isUntaken = error.status >= 500 || error.status === 429;
      return { text: `This token was not credited: ${error.message}`, isUntaken };
    }
  }

  /** What to tell about a refund; undefined while its token is still being made. */
  async function refundTexts(
    { id, sender }: Address,
    sats: number | undefined,
  ): Promise<string[] | undefined> {
    const given = { key: `nostr:${id}`, request: sha256Hex(`refund ${sats ?? 'all'}`) };
    try {
      const paid = await accounts.refund(credentialOf(sender), sats, given);
      const worth = amount(paid.unit === 'sat' ? paid.amount * 1000 : paid.amount);
      return [
        `Here are ${worth} as a token of ${paid.mint}. Left: ${await balance(sender)}.`,
        paid.token.reveal(),
      ];
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      const isOpen = error.code === 'mint_unreachable' || error.code === 'storage_unavailable';
      return isOpen ? undefined : [refusal(error)];
    }
  }

  async function finish(id: string): Promise<void> {
    notBefore.delete(id);
    await pending.done(id);
  }

  async function handOver(to: Address, sats: number | undefined): Promise<boolean> {
    if (busy.has(to.id)) return true;
    busy.add(to.id);
    try {
      const texts = await refundTexts(to, sats);
      if (texts !== undefined && (await tell(to, texts))) await finish(to.id);
      else notBefore.set(to.id, clock.monotonic() + LIMITS.chat.refundRetryMs);
      return texts !== undefined;
    } finally {
      busy.delete(to.id);
    }
  }

  async function lookAtDeposit(one: Pending & { operation: string }): Promise<void> {
    const { sender, operation: id } = one;
    const { operation } = await lookUps.operation(credentialOf(sender), id);
    const { state, reason } = operation;
    if (state === 'executing' || state === 'blocked') return;
    const text =
      state === 'done'
        ? `Your token arrived. Your balance is ${await balance(sender)}.`
        : `Your token was not credited (${reason ?? 'refused'}).`;
    if (await tell({ ...one, id: one.id.split(':')[0] ?? '' }, [text])) await finish(one.id);
  }

  async function lookAt(one: Pending): Promise<void> {
    const { refundSeconds, pendingSeconds } = LIMITS.chat;
    const seconds = one.kind === 'refund' ? refundSeconds : pendingSeconds;
    if (unixSeconds(clock) - one.at > seconds) return finish(one.id);
    if (one.kind === 'refund') {
      if (clock.monotonic() >= (notBefore.get(one.id) ?? 0)) await handOver(one, one.sats);
      return;
    }
    if (one.kind === 'deposit') return lookAtDeposit(one);
    const { status, amountSats, expiresAt } = await lightning.status(one.operation, {});
    const isOver = unixSeconds(clock) > expiresAt + LIMITS.invoice.graceSeconds;
    if (status === 'paid') {
      const text = `Your invoice is paid: ${amountSats} sat. Your balance is ${await balance(one.sender)}.`;
      if (await tell(one, [text])) await pending.done(one.id);
    } else if (status === 'expired' && isOver) await pending.done(one.id);
  }

  return {
    deposit: async (to, tokens, beyond) => {
      const told: Deposited[] = [];
      for (const token of tokens) told.push(await depositOne(to, token));
      const more = `${beyond} more were not taken: at most ${LIMITS.chat.tokensMax} in one message.`;
      const lines = told.map(({ text }) => text);
      return {
        text: [...lines, ...(beyond > 0 ? [`${more} Send them in another one.`] : [])].join('\n'),
        isUntaken: beyond > 0 || told.some((each) => each.isUntaken),
      };
    },

    invoice: async (to, sats) => {
      const {
        id: operation,
        invoice,
        expiresAt,
      } = await lightning.invoice({
        amountSats: sats,
        terms: {},
        to: credentialOf(to.sender),
      });
      const { id, sender, from } = to;
      const noted = await pending.add({ id, sender, from, at: unixSeconds(clock), kind: 'topup', operation });
      const minutes = Math.max(1, Math.floor((expiresAt - unixSeconds(clock)) / 60));
      const after = noted ? 'I write when it is paid.' : '/balance tells when it is paid.';
      return [`Pay this invoice of ${sats} sat within ${minutes} minutes. ${after}`, invoice];
    },

    refund: async (to, sats) => {
      const { id, sender, from } = to;
      const noted = await pending.add({
        id,
        sender,
        from,
        at: unixSeconds(clock),
        kind: 'refund',
        ...(sats !== undefined && { sats }),
      });
      if (!noted) return void (await tell(to, ['Other refunds are still under way; try again in a while.']));
      if (!(await handOver(to, sats)))
        await tell(to, ['The mint is slow. Your token is on record and I send it as soon as it is made.']);
    },

    lookAfter: async () => {
      for (const one of pending.all()) {
        try {
          await lookAt(one);
        } catch (error) {
          log.warn('nostr.chat.pending', { kind: one.kind, error: errorKind(error) });
          if (error instanceof NodeError && error.code === 'invoice_not_found') await pending.done(one.id);
        }
      }
    },
  };
}
