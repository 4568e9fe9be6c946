/** Server-sent events: finds one event in a text and tells its lines apart. */

/** Where an event stands; filled anew for each event, so that scanning allocates nothing. */
export interface EventSpan {
  /** Position after the blank line that ends it. */
  end: number;
  /** Number of `data:` lines with a value. */
  dataLines: number;
  /** Value of the first of them. */
  dataFrom: number;
  dataTo: number;
  /** Length of the values of all of them. */
  dataLength: number;
  /** It has lines that must not reach an OpenAI client: `event:`, `id:`, `retry:`, empty `data:`, unknown fields. */
  foreign: boolean;
}

export const newSpan = (): EventSpan => ({
  end: 0,
  dataLines: 0,
  dataFrom: 0,
  dataTo: 0,
  dataLength: 0,
  foreign: false,
});

const CARRIAGE_RETURN = 13;
const SPACE = 32;
const COLON = 58;
const D = 100;

/**
 * False if the text ends before the event does. Lines end with LF or CR LF. A bare CR ends a line for clients too,
 * so that a line which contains one could smuggle in another: it counts as foreign.
 */
export function findEvent(text: string, from: number, span: EventSpan, hasReturns: boolean): boolean {
  span.dataLines = 0;
  span.dataLength = 0;
  span.foreign = false;
  let line = from;
  for (;;) {
    const feed = text.indexOf('\n', line);
    if (feed === -1) return false;
    const to = endOfLine(text, line, feed);
    if (to === line) {
      span.end = feed + 1;
      return true;
    }
    const value = dataValue(text, line, to);
    if (hasReturns && hasReturn(text, line, to)) {
      span.foreign = true;
    } else if (value !== -1) {
      if (span.dataLines === 0) {
        span.dataFrom = value;
        span.dataTo = to;
      }
      span.dataLines++;
      span.dataLength += to - value;
    } else if (text.charCodeAt(line) !== COLON) {
      span.foreign = true;
    }
    line = feed + 1;
  }
}

/** Ranges of the lines of one event that may pass, line ends and the blank line included. */
export function allowedLines(text: string, from: number, end: number): [from: number, to: number][] {
  const ranges: [number, number][] = [];
  for (let line = from; line < end;) {
    const feed = text.indexOf('\n', line);
    const to = endOfLine(text, line, feed);
    const known = to === line || text.charCodeAt(line) === COLON || dataValue(text, line, to) !== -1;
    if (known && !hasReturn(text, line, to)) ranges.push([line, feed + 1]);
    line = feed + 1;
  }
  return ranges;
}

/** Values of the data lines of one event; the standard joins them by line feeds. */
export function dataRanges(text: string, from: number, end: number): [from: number, to: number][] {
  const ranges: [number, number][] = [];
  for (let line = from; line < end;) {
    const feed = text.indexOf('\n', line);
    const to = endOfLine(text, line, feed);
    const value = dataValue(text, line, to);
    if (value !== -1 && !hasReturn(text, line, to)) ranges.push([value, to]);
    line = feed + 1;
  }
  return ranges;
}

const endOfLine = (text: string, line: number, feed: number): number =>
  feed > line && text.charCodeAt(feed - 1) === CARRIAGE_RETURN ? feed - 1 : feed;

const hasReturn = (text: string, line: number, to: number): boolean => {
  const at = text.indexOf('\r', line);
  return at !== -1 && at < to;
};

/** Position of the value of a data line; -1 for every other line and for an empty value. */
function dataValue(text: string, line: number, to: number): number {
  if (text.charCodeAt(line) !== D || !text.startsWith('data:', line)) return -1;
  const value = text.charCodeAt(line + 5) === SPACE ? line + 6 : line + 5;
  return value < to ? value : -1;
}
