/**
 * Chunked: the transfer coding of a streamed answer, written in one piece. Node hands each chunk to its socket as four
 * buffers (length, line end, bytes, line end), which for a chunk of a few hundred bytes takes longer than all else.
 */
import type { ServerResponse } from 'node:http';
import type { Body } from '../gateway/request.ts';

const CR = 0x0d;
const LF = 0x0a;
const HEX = Buffer.from('0123456789abcdef');

/** Like `res.write` of a response whose head is sent: false when the client reads more slowly than this. */
export function writeChunk(res: ServerResponse, chunk: Body): boolean {
  // An HTTP/1.0 client knows no chunks: its answer ends with its connection.
  if (!res.chunkedEncoding) return res.write(chunk);
  const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  // An empty chunk would be the last one.
  if (bytes.length === 0) return true;
  res.chunkedEncoding = false;
  const goOn = res.write(framed(bytes));
  res.chunkedEncoding = true;
  return goOn;
}

/** Length in hexadecimal digits, CR LF, the bytes, CR LF (RFC 9112 §7.1). */
function framed(bytes: Buffer): Buffer {
  const { length } = bytes;
  let digits = 1;
  while (length >>> (4 * digits) !== 0) digits++;
  const frame = Buffer.allocUnsafe(digits + length + 4);
  for (let at = 0; at < digits; at++) frame[at] = HEX[(length >>> (4 * (digits - 1 - at))) & 15] as number;
  frame[digits] = CR;
  frame[digits + 1] = LF;
  frame.set(bytes, digits + 2);
  frame[digits + 2 + length] = CR;
  frame[digits + 3 + length] = LF;
  return frame;
}
