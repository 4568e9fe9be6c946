/** Upstream: conversation with one OpenAI-compatible AI server. */
import type { Cancel } from '../base/cancel.ts';
import type { Usage } from '../protocol/openai.ts';

export interface UpstreamRequest {
  /** Path below the base URL, e.g. `/chat/completions`. */
  path: string;
  /** JSON body, sent as it is. */
  body: Buffer;
  stream: boolean;
  /** Cancelling closes the connection at once; also before a connection was free. */
  work: Cancel;
}

/**
 * An answer whose status is 2xx. Others are thrown as NodeError before any byte: upstream 401/402/403 and 5xx as
 * `upstream_error` (502), 429 as `rate_limited` with its retry-after, timeouts as `upstream_timeout`, connection
 * failures as `upstream_unavailable`, 400/404/413/422 as `upstream_rejected` with the upstream's own status.
 */
export interface UpstreamAnswer {
  status: number;
  contentType: string;
  /** All of it, where no stream was asked for. */
  whole?: Buffer;
  /** A stream. */
  chunks?: Chunks;
}

/**
 * Bytes of a stream exactly as received, with backpressure; to be read once. Throws NodeError if the upstream breaks
 * off or falls silent.
 */
export interface Chunks extends AsyncIterable<Buffer> {
  /**
   * What `use` makes of the next chunk or of the end, or `failed` of the failure. One promise where `next().then()` makes
   * two, and no turn of the queue in between: a stream has thousands of chunks.
   */
  take: <Made>(
    use: (next: IteratorResult<Buffer, undefined>) => Made | Promise<Made>,
    failed: (error: unknown) => Made | Promise<Made>,
  ) => Promise<Made>;
  /** All has been taken, and nothing more comes. */
  ended: () => boolean;
}

export interface Upstream {
  readonly id: string;
  complete: (request: UpstreamRequest) => Promise<UpstreamAnswer>;
  /** GET <base>/models, bounded; raw JSON. */
  listModels: (signal: AbortSignal) => Promise<unknown>;
  close: () => Promise<void>;
}

export type { Usage };
