/** Shopper: buys with keys and one by one, repeats what was not answered, and holds the node to every word. */
import { createAccountBook, type AccountBook } from './account-book.ts';
import { type Streets, createLightningErrands } from './lightning-errands.ts';
import { type Pauses, atOnce, persist } from './persist.ts';
import type { ChatWish, Final, PaidTold, Purse, Reply, Till, Token } from './till.ts';
import type { Verdict } from './verdict.ts';

/** No answer of the words asked for here costs more, at the prices of both worlds. */
const COST_MOST = 8_000;
/** Enough for one request, and a sat of change. */
export const SATS_LEAST = 12;

export interface ShopperParts {
  name: string;
  till: Till;
  purse: Purse;
  verdict: Verdict;
  pauses: Pauses;
  /** 0 ≤ x < 1. */
  random: () => number;
  /** What a mint takes at most for a refund that needs a swap. */
  refundFeeMost: number;
  /** Then one payout may be less than asked for: as much as one mint has. */
  severalMints?: boolean;
  /** How often the same is asked before it counts as unresolved. */
  triesMax?: number;
  /** Lightning, where there is any. */
  streets?: Streets | undefined;
  trace?: (line: string) => void;
}

export interface Shopper {
  /** One errand after another until `enough`; then everything is asked again until it is final. */
  run: (enough: () => boolean) => Promise<void>;
}

export function createShopper(parts: ShopperParts): Shopper {
  const { name, till, purse, verdict, random, trace = () => undefined } = parts;
  const { triesMax } = parts;
  const tools = { verdict, pauses: parts.pauses, ...(triesMax !== undefined && { triesMax }) };
  const chance = (probability: number): boolean => random() < probability;
  const upTo = (most: number): number => 1 + Math.floor(random() * most);
  /** Tokens that were credited: a thief tries them again. */
  const spent: string[] = [];
  const refunds = new Set<string>();
  let errands = 0;

  const wish = (): ChatWish => ({ stream: chance(0.4), words: upTo(6) });
  const used = (token: Token): void => {
    spent.push(token.text);
    if (spent.length > 8) spent.shift();
  };

  /** The same request several times at once, now and then. */
  function often<T>(
    what: string,
    ask: () => Promise<Reply<T>>,
    same: (a: T, b: T) => boolean,
  ): () => Promise<Reply<T>> {
    const count = chance(0.2) ? 1 + upTo(3) : 1;
    return () =>
      atOnce(count, ask, same, () => verdict.found('duplicated', `${what}: two answers to one request`));
  }

  const lightning =
    parts.streets &&
    createLightningErrands({
      ...tools,
      till,
      streets: parts.streets,
      random,
      feeMost: parts.refundFeeMost,
      trace,
      often,
    });

  /** A key by invoice, used as any other. */
  async function lightningErrand(label: string): Promise<void> {
    const bought = await lightning?.buyKey(label);
    if (bought === undefined) return;
    const book = createAccountBook(label, verdict);
    book.credit(bought.credit);
    await spendKey(label, bought.key, bought.key, book);
  }

  async function keyErrand(label: string): Promise<void> {
    const token = await purse.take();
    trace(`${label} create with ${token.sats}`);
    const book = createAccountBook(label, verdict);
    const made = await persist(
      `${label} create`,
      often(
        label,
        () => till.create(token.text),
        (a, b) => a.key === b.key,
      ),
      tools,
    );
    if (!bought(label, made, token)) return;
    used(token);
    const credit = (token.sats - token.fee) * 1000;
    book.credit(credit);
    if (made.balance !== credit)
      verdict.found(made.balance < credit ? 'lost' : 'duplicated', `${label}: ${made.balance} of ${credit}`);
    const { key } = made;
    await spendKey(label, key, chance(0.3) ? token.text : key, book);
  }

  async function spendKey(label: string, key: string, bearer: string, book: AccountBook): Promise<void> {
    for (let step = upTo(24); step > 0; step--) await keyStep(label, key, bearer, book);
    await look(label, key, book);
    // Fees leave a rest that an address cannot get.
    if (lightning && chance(0.4)) {
      await lightning.remit(label, key, 'all', book);
      await look(label, key, book);
    }
    await refundAll(label, key, book);
    await look(label, key, book);
  }

  async function keyStep(label: string, key: string, bearer: string, book: AccountBook): Promise<void> {
    const dice = random();
    if (lightning && chance(0.1)) await lightningStep(label, key, book);
    else if (dice < 0.72) await chat(label, bearer, book);
    else if (dice < 0.82)
      await Promise.all(Array.from({ length: upTo(3) }, () => chatTogether(label, bearer, book)));
    else if (dice < 0.86) await topUp(label, key, book);
    else if (dice < 0.92) await refundSome(label, key, book);
    else if (dice < 0.96) await steal(label, key);
    else await look(label, key, book);
  }

  async function lightningStep(label: string, key: string, book: AccountBook): Promise<void> {
    if (chance(0.5)) await lightning?.topUp(label, key, book);
    else await lightning?.remit(label, key, upTo(6), book);
  }

  async function chat(label: string, bearer: string, book: AccountBook): Promise<void> {
    const reply = await chatTogether(label, bearer, book);
    if (reply.kind === 'ok' && reply.balance !== undefined) book.compareBalance(reply.balance);
    if (reply.kind !== 'lost') return;
    await parts.pauses.again(0, true);
    await look(label, bearer, book);
  }

  async function chatTogether(label: string, bearer: string, book: AccountBook): Promise<Reply<PaidTold>> {
    verdict.asked += 1;
    const reply = await till.chat(bearer, { ...wish(), ...(chance(0.1) && { stream: true, leaves: true }) });
    trace(`${label} chat ${reply.kind === 'ok' ? reply.cost : reply.kind}`);
    if (reply.kind === 'ok') {
      verdict.acked += 1;
      judgeCost(label, reply.cost);
      book.paid(reply.cost);
    } else if (reply.kind === 'lost' || reply.code === 'storage_unavailable') {
      // What could not be written for sure may stand in the ledger all the same.
      book.perhapsPaid(COST_MOST);
    }
    return reply;
  }

  function judgeCost(label: string, cost: number): void {
    if (cost > COST_MOST) verdict.found('duplicated', `${label}: an answer cost ${cost}`);
    if (cost <= 0) verdict.found('lost', `${label}: an answer was free`);
  }

  async function topUp(label: string, key: string, book: AccountBook): Promise<void> {
    const token = await purse.take();
    const ask = often(
      label,
      () => till.topUp(key, token.text),
      (a, b) => a.credited === b.credited,
    );
    const reply = await persist(`${label} top-up`, ask, tools);
    trace(`${label} top-up with ${token.sats}: ${reply?.kind}`);
    if (!bought(label, reply, token)) return;
    used(token);
    book.credit(reply.credited);
    const credit = (token.sats - token.fee) * 1000;
    if (reply.credited !== credit)
      verdict.found(
        reply.credited < credit ? 'lost' : 'duplicated',
        `${label}: top-up ${reply.credited} of ${credit}`,
      );
  }

  async function refundSome(label: string, key: string, book: AccountBook): Promise<void> {
    const request = { sats: upTo(6), idempotencyKey: `${label}-${upTo(1e9)}` };
    const ask = often(
      label,
      () => till.refund(key, request),
      (a, b) => a.token === b.token,
    );
    take(label, await persist(`${label} refund of ${request.sats}`, ask, tools), book);
  }

  async function refundAll(label: string, key: string, book: AccountBook): Promise<void> {
    const keyed = chance(0.5);
    const ask = () => till.refund(key, keyed ? { idempotencyKey: `${label}-all` } : {});
    // Money of several mints comes in several tokens, one for each request that names no key.
    const several = parts.severalMints === true && !keyed;
    take(
      label,
      await persist(
        `${label} refund`,
        several ? ask : often(label, ask, (a, b) => a.token === b.token),
        tools,
      ),
      book,
    );
  }

  function take(
    label: string,
    reply: Final<{ token: string; sats: number }> | undefined,
    book: AccountBook,
  ): void {
    trace(
      `${label} refund: ${reply?.kind === 'ok' ? reply.sats : reply?.kind === 'refused' ? reply.code : '?'}`,
    );
    if (reply?.kind !== 'ok') return;
    // An account with nothing left gives its latest refund again.
    if (refunds.has(reply.token)) return;
    refunds.add(reply.token);
    keepToken(label, reply.token, reply.sats);
    book.refunded(reply.sats * 1000, parts.refundFeeMost);
  }

  /** A token is worth what its proofs are, and the node says no other sum. */
  function keepToken(label: string, token: string, sats: number): void {
    const face = purse.faceOf(token);
    if (face !== sats)
      verdict.found(face < sats ? 'lost' : 'duplicated', `${label}: a token of ${face} sat for ${sats}`);
    purse.put(token, face);
  }

  /** A quiet account, compared with the book. */
  async function look(label: string, bearer: string, book: AccountBook): Promise<void> {
    for (let tries = 0; tries < 400; tries++) {
      const told = await persist(`${label} info`, () => till.info(bearer), tools);
      if (told?.kind !== 'ok') {
        verdict.found(
          'lost',
          `${label}: the account is gone (${told?.kind === 'refused' ? told.code : '?'})`,
        );
        return;
      }
      if (told.held === 0) return book.compare(told);
      await parts.pauses.again(tries, false);
    }
    verdict.found('unresolved', `${label}: money is held for ever`);
  }

  /** Presents money that was spent before, in another way. */
  async function steal(label: string, key: string): Promise<void> {
    const text = spent[Math.floor(random() * spent.length)];
    if (text === undefined) return;
    // A second credit shows when the account is compared; a repeated top-up of this key says what was credited then.
    await till.topUp(key, text);
    const once = await till.payOnce(text, { stream: false, words: WORDS_OF_THIEVES });
    verdict.asked += 2;
    if (once.kind === 'ok') verdict.found('duplicated', `${label}: a spent token paid once more`);
  }

  async function onceErrand(label: string): Promise<void> {
    const token = await purse.take();
    const body = { ...wish(), ...(chance(0.3) && { claims: true }) };
    trace(`${label} once with ${token.sats}`);
    const credit = (token.sats - token.fee) * 1000;
    for (let tries = 0; tries < 400; tries++) {
      verdict.asked += 1;
      const hangsUp = chance(0.1) && body.stream;
      const paid = await till.payOnce(token.text, { ...body, ...(hangsUp && { leaves: true }) });
      trace(`${label} paid: ${paid.kind === 'refused' ? paid.code : paid.kind}`);
      if (paid.kind === 'ok') {
        verdict.acked += 1;
        used(token);
        judgeCost(label, paid.cost);
        const sats = Math.floor((credit - paid.cost) / 1000);
        const change = paid.change;
        return change === undefined ? claim(label, token, sats, sats) : keep(label, token, change, sats);
      }
      if (paid.kind === 'refused' && paid.change !== undefined) {
        used(token);
        return keep(label, token, paid.change, credit / 1000);
      }
      if (paid.kind === 'refused' && NEVER_REDEEMED.has(paid.code)) return void bought(label, paid, token);
      if (paid.kind === 'lost') await parts.pauses.again(tries, true);
      const claimed = await persist(`${label} claim`, () => till.claim(token.text), tools);
      if (claimed?.kind === 'ok') {
        used(token);
        return inRange(label, claimed, Math.floor((credit - COST_MOST) / 1000), credit / 1000);
      }
      await parts.pauses.again(tries, false);
    }
    verdict.found('unresolved', `${label}: a payment has no end`);
  }

  async function claim(label: string, token: Token, least: number, most: number): Promise<void> {
    const claimed = await persist(`${label} claim`, () => till.claim(token.text), tools);
    if (claimed?.kind === 'ok') inRange(label, claimed, least, most);
    else if (least > 0) verdict.found('lost', `${label}: ${least} sat of change cannot be claimed`);
  }

  function inRange(
    label: string,
    { token, sats }: { token: string; sats: number },
    least: number,
    most: number,
  ): void {
    keepToken(label, token, sats);
    if (sats + parts.refundFeeMost / 1000 < least && parts.severalMints !== true)
      verdict.found('lost', `${label}: change of ${sats}, not ${least}`);
    if (sats > most) verdict.found('duplicated', `${label}: change of ${sats}, not ${most}`);
  }

  /** Change that came with the answer; asking for it again must give the very same. */
  async function keep(label: string, token: Token, change: string, sats: number): Promise<void> {
    const again = await persist(`${label} claim`, () => till.claim(token.text), tools);
    if (again?.kind !== 'ok') {
      // Spent or not, change that was handed out stays on record until its owner has used it.
      verdict.found('lost', `${label}: change that was handed out is not on record`);
      purse.put(change, purse.faceOf(change));
      return;
    }
    if (again.token === change) return inRange(label, again, sats, sats);
    if (parts.severalMints !== true) verdict.found('duplicated', `${label}: change was made twice`);
    // What several mints back comes in several tokens: the claim gave the rest.
    const face = purse.faceOf(change);
    purse.put(change, face);
    inRange(label, again, sats - face, sats - face);
  }

  /** A token that was refused without being redeemed is its owner's as before. */
  function bought<T>(label: string, reply: Final<T> | undefined, token: Token): reply is { kind: 'ok' } & T {
    if (reply?.kind === 'ok') return true;
    if (reply !== undefined) {
      trace(`${label} refused: ${reply.code}`);
      if (reply.code === 'token_already_spent' || reply.code === 'token_already_claimed')
        verdict.found('lost', `${label}: an unspent token was called spent`);
      else if (reply.code !== 'mint_quarantined') purse.put(token.text, token.sats);
    }
    return false;
  }

  return {
    run: async (enough) => {
      while (!enough()) {
        errands += 1;
        const label = `${name}.${errands}`;
        if (lightning && chance(0.2)) await lightningErrand(label);
        else await (chance(0.6) ? keyErrand(label) : onceErrand(label));
      }
    },
  };
}

/** So many that no honest request has the same body. */
const WORDS_OF_THIEVES = 13;

const NEVER_REDEEMED = new Set(['insufficient_balance', 'mint_quarantined', 'unknown_keyset']);
