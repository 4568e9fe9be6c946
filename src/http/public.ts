/** Public routes: what this node is, what it sells, whether it lives. */
import type { Request, Response } from 'express';
import { NodeError } from '../base/error.ts';
import { requestId } from './context.ts';
import { JSON_TYPE, reply, replyJson, replyUnchanged } from './reply.ts';

/** What the public routes show; supplied by the composition root. */
export interface PublicFacts {
  /** Body of /v1/info. */
  info: () => Record<string, unknown>;
  /** Body of /v1/models, ready to send, with its ETag. */
  models: () => { bytes: Buffer; etag: string };
  /** One model as /v1/models lists it; by id or alias. */
  model: (id: string) => Record<string, unknown> | undefined;
  /** Other nodes, from signed announcements, as Routstr clients read them. */
  providers: () => Promise<readonly ({ pubkey: string } & object)[]>;
  /** Where buyers reach this node. */
  address: () => string;
  /** Body of /.well-known/nostr.json (NIP-05). */
  nostrNames: () => Record<string, unknown>;
  /** `ready` decides between 200 and 503; the rest tells why. */
  readiness: () => { ready: boolean } & Record<string, unknown>;
}

export interface PublicRoutes {
  info: (req: Request, res: Response) => void;
  models: (req: Request, res: Response) => void;
  model: (req: Request, res: Response) => void;
  providers: (req: Request, res: Response) => Promise<void>;
  paths: (req: Request, res: Response) => void;
  pathsOfModel: (req: Request, res: Response) => void;
  nostrNames: (req: Request, res: Response) => void;
  root: (req: Request, res: Response) => void;
  live: (req: Request, res: Response) => void;
  ready: (req: Request, res: Response) => void;
}

const CACHE_NAMES = ['cache-control', 'public, max-age=300'];

/** One address has two forms, by a header of the request. */
const CACHE_LIST = ['cache-control', 'public, max-age=60', 'vary', 'anthropic-version'];

export function createPublicRoutes(facts: PublicFacts): PublicRoutes {
  return {
    info: (req, res) => replyJson(res, requestId(req), 200, facts.info(), ['cache-control', 'no-cache']),

    models: (req, res) => {
      const { bytes, etag } = facts.models();
      if (isAnthropic(req)) {
        replyJson(res, requestId(req), 200, anthropicList(bytes), CACHE_LIST);
        return;
      }
      const headers = ['etag', etag, ...CACHE_LIST];
      if (knows(req, etag)) replyUnchanged(res, requestId(req), headers);
      else reply(res, requestId(req), 200, JSON_TYPE, bytes, headers);
    },

    model: (req, res) => {
      const id = ([] as string[]).concat(req.params['id'] ?? []).join('/');
      const model = facts.model(id) ?? facts.model(id.replace(/\/$/, ''));
      if (!model)
        throw new NodeError('model_not_found', 'This model is not sold here; GET /v1/models lists what is.');
      const body = isAnthropic(req) ? anthropicModel(model as unknown as ListedModel) : model;
      replyJson(res, requestId(req), 200, body, CACHE_LIST);
    },

    nostrNames: (req, res) => replyJson(res, requestId(req), 200, facts.nostrNames(), CACHE_NAMES),

    providers: async (req, res) => {
      const { pubkey, include_json: withHealth } = req.query;
      const all = await facts.providers();
      const listed = all.filter((one) => typeof pubkey !== 'string' || one.pubkey === pubkey);
      const providers =
        withHealth === 'true' ? listed.map((provider) => ({ provider, health: NOT_ASKED })) : listed;
      replyJson(res, requestId(req), 200, { providers }, CACHE_LIST);
    },

    paths: (req, res) => {
      const { data } = JSON.parse(facts.models().bytes.toString('utf8')) as { data: ListedModel[] };
      const listed = data.map(({ id }) => ({ id, paths: [pathTo(facts.address(), id)] }));
      replyJson(res, requestId(req), 200, { data: listed, updated_at: newest(data) }, CACHE_LIST);
    },

    pathsOfModel: (req, res) => {
      const asked = req.query['model_id'];
      const model = typeof asked === 'string' ? facts.model(asked) : undefined;
      if (model === undefined) throw new NodeError('model_not_found', 'Model not found');
      const { id, created } = model as unknown as ListedModel;
      const body = { data: [pathTo(facts.address(), id)], updated_at: created };
      replyJson(res, requestId(req), 200, body, CACHE_LIST);
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

/** A node does not knock at addresses of strangers; whoever wants to know asks there. */
const NOT_ASKED = { status_code: null, endpoint: 'error', json: { error: 'not asked' } };

/** One path to each model, this node itself: which upstream answers is decided for each request. */
const pathTo = (url: string, model: string) => ({
  path: `url=${encodeURIComponent(url)}&provider-id=0&model-id=${encodeURIComponent(model)}`,
  provider: { id: 0, slug: 'routstr-node', type: 'routstr' },
  endpoint: null,
});

const newest = (models: readonly ListedModel[]): number | null =>
  models.length === 0 ? null : Math.max(...models.map(({ created }) => created));

const isAnthropic = (req: Request): boolean => req.headers['anthropic-version'] !== undefined;

/** Proxies that compress make a tag weak, and caches may send several. */
function knows(req: Request, etag: string): boolean {
  const known = req.headers['if-none-match']?.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return known?.some((tag) => tag === etag || tag === '*') === true;
}

interface ListedModel {
  id: string;
  name: string;
  created: number;
}

/** The list as Anthropic clients read it. */
function anthropicList(bytes: Buffer): Record<string, unknown> {
  const data = (JSON.parse(bytes.toString('utf8')) as { data: ListedModel[] }).data.map(anthropicModel);
  return { data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
}

const anthropicModel = ({ id, name, created }: ListedModel) => ({
  type: 'model',
  id,
  display_name: name,
  created_at: new Date(created * 1000).toISOString(),
});
