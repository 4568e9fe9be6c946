/** JSON scan: depth and number of top-level keys of a text, in one pass over what stands outside of strings. */

export interface JsonScan {
  /** Deepest nesting; the scan stops at the first level beyond the bound. */
  depth: number;
  /**
   * Keys of the outermost object as written. `JSON.parse` keeps the last of two equal keys, so an object with fewer
   * keys than this had a duplicate. Only meaningful for text that parses.
   */
  topLevelKeys: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

export function scanJson(text: string, depthMax: number): JsonScan {
  let depth = 0;
  let deepest = 0;
  let colons = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = closingQuote(text, i + 1);
        if (i === -1) return { depth: deepest, topLevelKeys: colons };
        break;
      case 0x7b: // {
      case 0x5b: // [
        depth++;
        if (depth > deepest) deepest = depth;
        if (depth > depthMax) return { depth, topLevelKeys: colons };
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
  return { depth: deepest, topLevelKeys: colons };
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
