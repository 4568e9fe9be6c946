/** What a relay's answer to a publish means. Prefixes are those of NIP-01 and NIP-42. */
import type { Reply } from './connection.ts';
import type { PublishOutcome } from './relay.ts';

/** Refusals that the same event meets again tomorrow; only the operator can change them. */
const STICKY = /^(blocked|restricted|pow|auth-required)\b/i;

export function judge(url: string, reply: Reply): PublishOutcome {
  switch (reply.reply) {
    case 'accepted':
      if (saysMute(reply.text)) return { url, outcome: 'mute', reason: printable(reply.text) };
      return { url, outcome: saysDuplicate(reply.text) ? 'duplicate' : 'ok' };
    case 'timeout':
      return { url, outcome: 'timeout', reason: 'no answer in time' };
    case 'closed':
      return { url, outcome: 'unreachable', reason: 'the connection closed before an answer' };
    case 'refused': {
      const reason = printable(reply.text);
      if (saysDuplicate(reason)) return { url, outcome: 'duplicate' };
      if (saysMute(reason)) return { url, outcome: 'mute', reason };
      if (/^rate-limited\b/i.test(reason)) return { url, outcome: 'rate-limited', reason };
      return { url, outcome: 'refused', reason, sticky: isSticky(reason) };
    }
  }
}

/** Some relays take no event that is dated back, as NIP-59 wants it; the same with the time of now they take. */
export const refusesDate = (outcome: PublishOutcome): boolean =>
  outcome.outcome === 'refused' && /timestamp|created_at|too old/i.test(outcome.reason);

export const isSticky = (text: string): boolean => STICKY.test(text);

export const wantsAuth = (text: string): boolean => /^auth-required\b/i.test(text);

const saysDuplicate = (text: string): boolean => /^duplicate\b/i.test(text);

/** A failed AUTH without a known prefix is still a refusal to let us in. */
export const asRefusal = (text: string): string =>
  /^(restricted|auth-required|blocked)\b/i.test(text) ? printable(text) : `restricted: ${printable(text)}`;

/** NIP-01: nobody listens for this ephemeral event. Relays say it with true and with false. */
const saysMute = (text: string): boolean => /^mute\b/i.test(text);

/** Relay texts end up on terminals and in JSON: one line, no control characters, bounded. */
export const printable = (text: string): string =>
  text
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .slice(0, 200)
    .trim();
