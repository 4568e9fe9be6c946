/** Chat budgets: how often somebody may write, and how often he is answered who has never paid. */
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { createBudget, createBudgets } from './budget.ts';
import { credentialOf } from './chat-money.ts';

export interface ChatBudgets {
  mayWrite: (sender: string) => boolean;
  mayBeAnswered: (sender: string) => Promise<boolean>;
  /** Told beyond the other budgets that money was not taken. */
  mayBeNoticed: (sender: string) => boolean;
}

export function createChatBudgets({
  gateway,
  clock,
}: {
  gateway: Pick<Gateway, 'accounts'>;
  clock: Clock;
}): ChatBudgets {
  const { chat } = LIMITS;
  const all = createBudgets({ perSecond: chat.perSecond, burst: chat.burst, clock });
  const strangers = createBudgets({ perSecond: chat.strangerPerSecond, burst: chat.strangerBurst, clock });
  const allStrangers = createBudget({
    perSecond: chat.strangersPerSecond,
    burst: chat.strangersBurst,
    clock,
  });
  const notices = createBudgets({ perSecond: chat.noticesPerSecond, burst: chat.noticesBurst, clock });
  const allNotices = createBudget({
    perSecond: chat.allNoticesPerSecond,
    burst: chat.allNoticesBurst,
    clock,
  });

  return {
    mayWrite: all.take,
    /** Strangers can make up keys without end, so all of them together have a budget, too. */
    mayBeAnswered: async (sender) => {
      const { account, spendable } = await gateway.accounts.info(credentialOf(sender));
      if (spendable > 0 || account.totalRequests > 0) return true;
      return strangers.take(sender) && allStrangers.take();
    },
    mayBeNoticed: (sender) => notices.take(sender) && allNotices.take(),
  };
}
