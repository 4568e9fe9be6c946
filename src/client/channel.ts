/** Channel: one way to a node's API for programs of a buyer; over HTTP or over direct messages it answers the same. */
import { bringsEcash, type DmClient, type DmRequest } from './dm.ts';

export interface ChannelRequest {
  method: DmRequest['method'];
  path: string;
  /** Sent as JSON. */
  body?: unknown;
  /** Told of each event of a streamed answer. */
  onEvent?: (data: string) => void;
  signal?: AbortSignal;
}

export interface ChannelAnswer {
  status: number;
  /** Undefined for a streamed answer, and for a body that is no JSON. */
  json: unknown;
}

export interface Channel {
  how: 'http' | 'dm';
  /** Rejects with DmFailure, or with ChannelFailure over HTTP. */
  ask: (request: ChannelRequest) => Promise<ChannelAnswer>;
}

/** The node could not be asked over HTTP. */
export class ChannelFailure extends Error {
  /** By the caller's own signal; the node may have worked and charged. */
  readonly cancelled: boolean;
  constructor(message: string, cause: unknown, cancelled = false) {
    super(message, { cause });
    this.name = 'ChannelFailure';
    this.cancelled = cancelled;
  }
}

/** Pays from the account of the client's key, or with `auth`. */
export function createDmChannel(client: Pick<DmClient, 'ask'>, auth?: DmRequest['auth']): Channel {
  return {
    how: 'dm',
    ask: async ({ method, path, body, onEvent, signal }) => {
      const call = await client.ask({
        method,
        path,
        headers: { accept: 'application/json', ...(body === undefined ? {} : JSON_BODY) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(auth === undefined ? {} : { auth }),
        ...(signal === undefined ? {} : { signal }),
        stream: onEvent !== undefined,
      });
      let events = 0;
      for await (const { data } of call.chunks) {
        events += 1;
        onEvent?.(data);
      }
      const answer = await call.answer;
      const { status, body: bytes, headers } = answer;
      // The caller gets it in this very turn.
      if (bringsEcash(answer)) void call.taken();
      const text = bytes.toString('utf8');
      const isStream = headers['content-type']?.startsWith('text/event-stream') === true;
      if (isStream && onEvent !== undefined) for (const data of eventsIn(text)) onEvent(data);
      return { status, json: isStream || (events > 0 && text === '') ? undefined : parsed(text) };
    },
  };
}

export const JSON_BODY = { 'content-type': 'application/json' };

/** The `data:` values of a whole stream. */
const eventsIn = (text: string): string[] =>
  text.split(/\r?\n\r?\n/).flatMap((event) => {
    const lines = event.split(/\r?\n/).filter((line) => line.startsWith('data:'));
    return lines.length === 0 ? [] : [lines.map((line) => line.slice(5).trimStart()).join('\n')];
  });

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
