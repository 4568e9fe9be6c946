/** The text of an ecash token as a credential: one normal form, and the hash under which the ledger knows it. */
import { sha256Hex } from './id.ts';

/** Whoever presents exactly this text again is taken for the one who presented it first. */
export const tokenTextHash = (text: string): string => sha256Hex(normalTokenText(text));

/** Surrounding white space and the URI schemes of NUT-00 carry no meaning. */
function normalTokenText(text: string): string {
  return text.trim().replace(/^(?:web\+cashu:\/\/|cashu:\/\/|web\+cashu:|cashu:)/i, '');
}

/** True for what is meant as a token, well formed or not. */
export const looksLikeToken = (text: string): boolean => /^cashu[A-Z]/.test(normalTokenText(text));
