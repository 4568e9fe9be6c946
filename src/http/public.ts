/** Public routes: what this node is, what it sells, whether it lives. */
import type { Request, Response } from 'express';
import { NodeError } from '../base/error.ts';
import { requestId } from './context.ts';
import { JSON_TYPE, reply, replyJson } from './reply.ts';

/** What the public routes show; supplied by the composition root. */
export interface PublicFacts {
  /** Body of /v1/info. */
  info: () => Record<string, unknown>;
  /** Body of /v1/models, ready to send, with its ETag. */
  models: () => { bytes: Buffer; etag: string };
  /** One model as /v1/models lists it; by id or alias. */
  model: (id: string) => Record<string, unknown> | undefined;
  /** `ready` decides between 200 and 503; the rest tells why. */
  readiness: () => { ready: boolean } & Record<string, unknown>;
}

export interface PublicRoutes {
  info: (req: Request, res: Response) => void;
  models: (req: Request, res: Response) => void;
  model: (req: Request, res: Response) => void;
  root: (req: Request, res: Response) => void;
  live: (req: Request, res: Response) => void;
  ready: (req: Request, res: Response) => void;
}

const CACHE_LIST = ['cache-control', 'public, max-age=60'];

export function createPublicRoutes(facts: PublicFacts): PublicRoutes {
  return {
    info: (req, res) => replyJson(res, requestId(req), 200, facts.info(), ['cache-control', 'no-cache']),

    models: (req, res) => {
      if (req.headers['anthropic-version'] !== undefined) {
        replyJson(res, requestId(req), 200, anthropicList(facts.models().bytes), CACHE_LIST);
        return;
      }
      const { bytes, etag } = facts.models();
      if (req.headers['if-none-match'] === etag) {
        reply(res, requestId(req), 304, JSON_TYPE, Buffer.alloc(0), ['etag', etag, ...CACHE_LIST]);
        return;
      }
      reply(res, requestId(req), 200, JSON_TYPE, bytes, ['etag', etag, ...CACHE_LIST]);
    },

    model: (req, res) => {
      const id = ([] as string[]).concat(req.params['id'] ?? []).join('/');
      const model = facts.model(id);
      if (!model)
        throw new NodeError('model_not_found', 'This model is not sold here; GET /v1/models lists what is.');
      replyJson(res, requestId(req), 200, model, CACHE_LIST);
    },

    root: (req, res) => {
      const { name, description, version, npub } = facts.info();
      replyJson(res, requestId(req), 200, {
        name,
        description,
        version,
        npub,
        status: 'running',
        info: '/v1/info',
        models: '/v1/models',
      });
    },

    live: (req, res) =>
      replyJson(res, requestId(req), 200, { status: 'live' }, ['cache-control', 'no-store']),

    ready: (req, res) => {
      const state = facts.readiness();
      replyJson(res, requestId(req), state.ready ? 200 : 503, state, ['cache-control', 'no-store']);
    },
  };
}

/** The list as Anthropic clients read it. */
function anthropicList(bytes: Buffer): Record<string, unknown> {
  const list = JSON.parse(bytes.toString('utf8')) as {
    data: { id: string; name: string; created: number }[];
  };
  const data = list.data.map(({ id, name, created }) => ({
    type: 'model',
    id,
    display_name: name,
    created_at: new Date(created * 1000).toISOString(),
  }));
  return { data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
}
