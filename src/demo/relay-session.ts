/** One client of the embedded relay: EVENT, REQ, CLOSE and AUTH as NIP-01 and NIP-42 define them. */
import { randomBytes } from 'node:crypto';
import { KIND } from '../protocol/kinds.ts';
import { idOf, matches, type RelayEvent, type RelayFilter, type RelayStore } from './relay-store.ts';

const SUBSCRIPTIONS_MAX = 20;
const FILTERS_MAX = 10;
const FUTURE_SECONDS_MAX = 900;
const AUTH_SECONDS_MAX = 600;
const HEX = /^[0-9a-f]+$/;

/** What all sessions of one relay share; the fault hooks of a test write to it. */
export interface RelayRules {
  store: RelayStore;
  auth: boolean;
  silent: boolean;
  /** Reasons for which the next events are refused. */
  refusals: string[];
  verify: (event: RelayEvent) => boolean;
  /** Unix seconds. */
  now: () => number;
  /** Host and port a NIP-42 answer must name. */
  host: () => string;
  broadcast: (event: RelayEvent) => void;
}

export interface Session {
  receive: (text: string) => void;
  /** Sends a new event to the subscriptions that match it. */
  offer: (event: RelayEvent) => void;
}

export function createSession(rules: RelayRules, send: (frame: unknown[]) => void): Session {
  const subscriptions = new Map<string, RelayFilter[]>();
  const challenge = randomBytes(16).toString('hex');
  let admitted = !rules.auth;
  if (rules.auth) send(['AUTH', challenge]);

  function onEvent(event: RelayEvent): void {
    const answer = (ok: boolean, text: string): void => {
      if (!rules.silent) send(['OK', event.id, ok, text]);
    };
    if (!admitted) return answer(false, 'auth-required: this relay wants to know who you are');
    const refusal = rules.refusals.shift();
    if (refusal !== undefined) return answer(false, refusal);
    if (idOf(event) !== event.id) return answer(false, 'invalid: the id is not the hash of the event');
    if (!rules.verify(event)) return answer(false, 'invalid: the signature does not match');
    if (event.created_at > rules.now() + FUTURE_SECONDS_MAX) {
      return answer(false, 'invalid: created_at is too far in the future');
    }
    const { ok, text, fresh } = rules.store.add(event, rules.now());
    answer(ok, text);
    if (fresh) rules.broadcast(event);
  }

  function onAuth(event: RelayEvent): void {
    const tag = (name: string): string => event.tags.find((entry) => entry[0] === name)?.[1] ?? '';
    const relay = tag('relay');
    const good =
      event.kind === KIND.relayAuth &&
      tag('challenge') === challenge &&
      URL.canParse(relay) &&
      new URL(relay).host === rules.host() &&
      Math.abs(event.created_at - rules.now()) <= AUTH_SECONDS_MAX &&
      idOf(event) === event.id &&
      rules.verify(event);
    const refusal = rules.refusals.shift();
    if (refusal !== undefined) return send(['OK', event.id, false, refusal]);
    if (good) admitted = true;
    send(['OK', event.id, good, good ? '' : 'restricted: this is not an answer to our challenge']);
  }

  function onReq(id: string, filters: RelayFilter[]): void {
    const closed = (text: string): void => send(['CLOSED', id, text]);
    if (!admitted) return closed('auth-required: this relay wants to know who you are');
    if (filters.length === 0 || filters.length > FILTERS_MAX) return closed('invalid: one to ten filters');
    if (!subscriptions.has(id) && subscriptions.size >= SUBSCRIPTIONS_MAX)
      return closed('error: too many subscriptions');
    subscriptions.set(id, filters);
    for (const event of rules.store.find(filters, rules.now())) send(['EVENT', id, event]);
    send(['EOSE', id]);
  }

  return {
    receive: (text) => {
      const message = parsed(text);
      if (!Array.isArray(message)) return send(['NOTICE', 'invalid: not a JSON array']);
      const [verb, first, ...rest] = message as unknown[];
      if (verb === 'EVENT' && isEvent(first)) onEvent(first);
      else if (verb === 'AUTH' && isEvent(first)) onAuth(first);
      else if (verb === 'REQ' && isName(first) && rest.every(isFilter)) onReq(first, rest);
      else if (verb === 'CLOSE' && isName(first)) subscriptions.delete(first);
      else send(['NOTICE', 'invalid: message not understood']);
    },
    offer: (event) => {
      for (const [id, filters] of subscriptions) {
        if (filters.some((filter) => matches(filter, event))) send(['EVENT', id, event]);
      }
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isName = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= 64;

const isFilter = (value: unknown): value is RelayFilter =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function isEvent(value: unknown): value is RelayEvent {
  if (!isFilter(value)) return false;
  const { id, pubkey, sig, kind, created_at: createdAt, tags, content } = value;
  const hex = (text: unknown, length: number): boolean =>
    typeof text === 'string' && text.length === length && HEX.test(text);
  return (
    hex(id, 64) &&
    hex(pubkey, 64) &&
    hex(sig, 128) &&
    Number.isSafeInteger(kind) &&
    Number.isSafeInteger(createdAt) &&
    typeof content === 'string' &&
    Array.isArray(tags) &&
    tags.every((tag) => Array.isArray(tag) && tag.every((item) => typeof item === 'string'))
  );
}
