/**
 * Chat stream: passes the events of a streamed chat answer on as they came and observes what the bill needs.
 *
 * Bytes may be split anywhere. An event is passed on when it is complete; most chunks are whole events and go
 * through as the very same buffer. Only few events are parsed: those until the first output, and those that carry
 * usage, a finish_reason or an error; the others are searched for these words only.
 */
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { createChatFacts, type ParsedEvent, type StreamFacts } from './sse-facts.ts';
import { allowedLines, dataRanges, findEvent, newSpan } from './sse-event.ts';

export type { StreamFacts };

export interface ChatStream {
  /** What of these bytes (and earlier ones) goes to the client now. Throws NodeError upstream_error if an event is too large. */
  push: (chunk: Buffer) => readonly Buffer[];
  /** [DONE] or an error has come: whatever follows is not looked at. */
  closed: () => boolean;
  /** Something that the client pays for has been passed on. */
  delivered: () => boolean;
  /** What the stream came to; `rest` is a last event whose blank line is missing. Call it once. */
  end: () => StreamFacts & { rest: readonly Buffer[] };
}

const NOTHING: readonly Buffer[] = [];
const LINE_FEED = Buffer.from('\n');
const BYTE_ORDER_MARK = '\u00ef\u00bb\u00bf';

export function createChatStream(options: { choices?: number } = {}): ChatStream {
  const facts = createChatFacts(options.choices ?? 1);
  const span = newSpan();
  /** Bytes of an event that is not complete yet, and the last two of them. */
  let parts: Buffer[] = [];
  let partBytes = 0;
  let tail = '';
  let started = false;
  /** Where in the bytes at hand the next field stands that must be read. */
  let noteworthy = Infinity;
  /** Nothing passes after [DONE] or an error. */
  let closed = false;

  function process(bytes: Buffer, cutOff: boolean): readonly Buffer[] {
    // One character per byte, so that positions in the text are positions in the bytes.
    const text = bytes.toString('latin1');
    noteworthy = nextNoteworthy(text, 0);
    const hasReturns = text.includes('\r');
    const out: Buffer[] = [];
    let at = !started && text.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
    let runFrom = at;
    while (!closed && findEvent(text, at, span, hasReturns)) {
      started = true;
      checkSize(span.end - at);
      const verdict = judge(bytes, text, at, cutOff);
      if (verdict !== PASS) {
        if (runFrom < at) out.push(bytes.subarray(runFrom, at));
        if (verdict !== DROP) out.push(verdict);
        runFrom = span.end;
      }
      at = span.end;
    }
    if (runFrom === 0 && at === bytes.length && at > 0) return [bytes];
    if (runFrom < at) out.push(bytes.subarray(runFrom, at));
    if (!closed && at < bytes.length) keep(bytes.subarray(at), text.slice(-2));
    return out;
  }

  function keep(bytes: Buffer, ending: string): void {
    parts.push(bytes);
    partBytes += bytes.length;
    tail = ending;
    checkSize(partBytes);
  }

  function judge(bytes: Buffer, text: string, at: number, cutOff: boolean): Verdict {
    if (span.dataLines === 0) return span.foreign ? strip(bytes, text, at, false) : PASS;
    if (span.dataLines === 1 && text.startsWith('[DONE]', span.dataFrom)) {
      facts.done();
      closed = true;
      return DROP;
    }
    if (noteworthy > span.end && !facts.learning() && !cutOff) {
      facts.count(span.dataLength);
      return span.foreign ? strip(bytes, text, at, true) : PASS;
    }
    if (noteworthy <= span.end) noteworthy = nextNoteworthy(text, span.end);
    const event = parse(bytes, text, at);
    // The last event of a stream that broke off may be half of one.
    if (event === undefined && cutOff) return DROP;
    const seen = facts.read(event, span.dataLength);
    closed = seen.closes;
    if (seen.replacement !== undefined) return Buffer.from(`data: ${JSON.stringify(seen.replacement)}\n\n`);
    if (seen.held) return DROP;
    return span.foreign ? strip(bytes, text, at, true) : PASS;
  }

  function strip(bytes: Buffer, text: string, at: number, hasData: boolean): Verdict {
    const lines = allowedLines(text, at, span.end);
    // What remains of an event without data is its blank line, and comments if it had some.
    if (!hasData && lines.length < 2) return DROP;
    return Buffer.concat(lines.map(([from, to]) => bytes.subarray(from, to)));
  }

  function parse(bytes: Buffer, text: string, at: number): ParsedEvent {
    const json =
      span.dataLines === 1
        ? bytes.toString('utf8', span.dataFrom, span.dataTo)
        : dataRanges(text, at, span.end)
            .map(([from, to]) => bytes.toString('utf8', from, to))
            .join('\n');
    try {
      return JSON.parse(json) as unknown;
    } catch {
      return undefined;
    }
  }

  function takeParts(...more: Buffer[]): Buffer {
    const whole = Buffer.concat([...parts, ...more]);
    parts = [];
    partBytes = 0;
    return whole;
  }

  /** What is left when the upstream has ended, with the line feeds that its event lacks. */
  function lastEvent(): Buffer {
    return tail.endsWith('\n') ? takeParts(LINE_FEED) : takeParts(LINE_FEED, LINE_FEED);
  }

  return {
    push: (chunk) => {
      if (closed || chunk.length === 0) return NOTHING;
      if (parts.length === 0) return process(chunk, false);
      // Joined only when the event ends in this chunk, so that many small pieces are copied once.
      const text = tail + chunk.toString('latin1');
      if (!/\n\r?\n/.test(text)) {
        keep(chunk, text.slice(-2));
        return NOTHING;
      }
      return process(takeParts(chunk), false);
    },
    closed: () => closed,
    delivered: facts.delivered,
    end: () => {
      // An event that was refused for its size while it came must not be refused again instead of the facts.
      const tooLarge = partBytes + 2 * LINE_FEED.length > LIMITS.upstream.eventBytesMax;
      const rest = closed || parts.length === 0 || tooLarge ? NOTHING : process(lastEvent(), true);
      return { ...facts.end(), rest };
    },
  };
}

/** What becomes of an event: it passes, it is dropped, or other bytes take its place. */
const PASS = 0;
const DROP = 1;
type Verdict = typeof PASS | typeof DROP | Buffer;

function checkSize(bytes: number): void {
  if (bytes > LIMITS.upstream.eventBytesMax) {
    throw new NodeError('upstream_error', 'The AI server sent an event that is too large.');
  }
}

/**
 * A field with another value than null: many upstreams send every field in every chunk. One expression for all
 * words takes a third of the time of a search for each. In a string value these quotes would be escaped.
 */
const NOTEWORTHY = /"(?:usage|finish_reason|error)"\s*:(?!\s*null)/g;

/** Position after the next such field, or Infinity. Its event must be parsed. */
function nextNoteworthy(text: string, from: number): number {
  NOTEWORTHY.lastIndex = from;
  return NOTEWORTHY.test(text) ? NOTEWORTHY.lastIndex : Infinity;
}
