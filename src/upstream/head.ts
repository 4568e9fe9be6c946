/** Head of an upstream's answer: the few headers that mean anything here. */
import type { IncomingHttpHeaders } from 'node:http';

export interface Head {
  status: number;
  contentType: string;
  contentEncoding: string | undefined;
  retryAfter: string | undefined;
  retryAfterMs: string | undefined;
}

export const headOf = (status: number, headers: IncomingHttpHeaders): Head => ({
  status,
  contentType: one(headers['content-type']) ?? '',
  contentEncoding: one(headers['content-encoding'])?.toLowerCase(),
  retryAfter: one(headers['retry-after']),
  retryAfterMs: one(headers['retry-after-ms']),
});

const one = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;
