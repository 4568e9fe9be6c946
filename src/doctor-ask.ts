/** GET of one of the operator's own addresses, bounded in time and size. Never used for what a stranger named. */
import { LIMITS } from './base/limits.ts';
import { codeOf } from './doctor-check.ts';

export type Asked =
  { outcome: 'answered'; status: number; json: unknown } | { outcome: 'failed'; code: string | undefined };

/** Never rejects. Redirects are answers like others. */
export async function askOwn(url: string): Promise<Asked> {
  const signal = AbortSignal.timeout(LIMITS.config.askTimeoutMs);
  try {
    const answer = await fetch(url, { signal, redirect: 'manual', headers: { accept: 'application/json' } });
    return { outcome: 'answered', status: answer.status, json: await jsonOf(answer) };
  } catch (error) {
    return { outcome: 'failed', code: codeOf(error) };
  }
}

async function jsonOf(answer: Response): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of answer.body ?? []) {
    parts.push(part as Uint8Array);
    bytes += (part as Uint8Array).byteLength;
    if (bytes > LIMITS.doctor.infoBytesMax) return undefined;
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8')) as unknown;
  } catch {
    // A page for people, which is no answer of a node.
    return undefined;
  }
}

/** The npub of `/v1/info`; undefined where it is not the answer of a node. */
export function npubIn(asked: Asked): string | undefined {
  if (asked.outcome !== 'answered' || typeof asked.json !== 'object' || asked.json === null) return undefined;
  const { npub } = asked.json as { npub?: unknown };
  return typeof npub === 'string' ? npub : undefined;
}
