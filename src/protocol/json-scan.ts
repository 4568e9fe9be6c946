/** JSON scan: what can be learnt of a text, and changed in it, by passing once over what stands outside of strings. */

export interface JsonScan {
  /** Deepest nesting; the scan stops at the first level beyond the bound. */
  depth: number;
  /** Objects and lists begun and commas: no text has more values than one above this. The scan stops beyond the bound. */
  values: number;
  /**
   * Keys of the outermost object as written. `JSON.parse` keeps the last of two equal keys, so an object with fewer
   * keys than this had a duplicate. Only meaningful for text that parses.
   */
  topLevelKeys: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const SPACE = 0x20;

export function scanJson(text: string, bounds: { depthMax: number; valuesMax: number }): JsonScan {
  const { depthMax, valuesMax } = bounds;
  let values = 0;
  let depth = 0;
  let deepest = 0;
  let colons = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = closingQuote(text, i + 1);
        if (i === -1) return { depth: deepest, values, topLevelKeys: colons };
        break;
      case 0x7b: // {
      case 0x5b: // [
        depth++;
        if (depth > deepest) deepest = depth;
        if (depth > depthMax || ++values > valuesMax) return { depth: deepest, values, topLevelKeys: colons };
        break;
      case 0x2c: // ,
        if (++values > valuesMax) return { depth: deepest, values, topLevelKeys: colons };
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth--;
        break;
      case 0x3a: // :
        if (depth === 1) colons++;
        break;
      default:
    }
  }
  return { depth: deepest, values, topLevelKeys: colons };
}

/**
 * Where the value of a member of the outermost object stands, so that bytes can be added to it without writing the
 * whole object anew. Undefined unless exactly one member is written with this name. Only for text that parses.
 */
export function findMember(text: string, name: string): { from: number; to: number } | undefined {
  let depth = 0;
  let isKey = false;
  let wanted = false;
  let found: { from: number; to: number } | undefined;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE: {
        const end = closingQuote(text, i + 1);
        if (end === -1) return undefined;
        if (depth === 1 && isKey) wanted = end - i - 1 === name.length && text.startsWith(name, i + 1);
        i = end;
        break;
      }
      case 0x7b: // {
      case 0x5b: // [
        depth++;
        if (depth === 1) isKey = true;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth--;
        if (depth === 0 && found?.to === -1) found.to = i;
        break;
      case 0x3a: // :
        if (depth !== 1) break;
        isKey = false;
        if (!wanted) break;
        if (found !== undefined) return undefined;
        found = { from: i + 1, to: -1 };
        break;
      case 0x2c: // ,
        if (depth !== 1) break;
        isKey = true;
        wanted = false;
        if (found?.to === -1) found.to = i;
        break;
      default:
    }
  }
  return found;
}

/** Text of a JSON object with further members at its end. */
export function appendMembers(object: string, members: string): string {
  const end = object.lastIndexOf('}');
  return `${object.slice(0, end)}${commaBefore(object, end)}${members}}`;
}

/** What stands between the members before a closing brace and one more: nothing if there are none. */
export function commaBefore(text: string, brace: number): '' | ',' {
  let at = brace - 1;
  while (at > 0 && text.charCodeAt(at) <= SPACE) at--;
  return text.charCodeAt(at) === OPEN_BRACE ? '' : ',';
}

/** Position of the quote that ends a string, or -1. A quote after an odd number of backslashes is part of it. */
function closingQuote(text: string, from: number): number {
  let at = text.indexOf('"', from);
  while (at !== -1) {
    let slashes = 0;
    while (at - 1 - slashes >= from && text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at;
    at = text.indexOf('"', at + 1);
  }
  return -1;
}
