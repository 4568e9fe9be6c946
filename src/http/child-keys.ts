/** Child key routes, under both path families: make, reset, revoke. */
import type { Request, Response } from 'express';
import { NodeError } from '../base/error.ts';
import { LIMITS } from '../base/limits.ts';
import { type Msat, satFloor } from '../base/money.ts';
import { type ChildKeys, type ChildTerms, requireCount } from '../gateway/child-keys.ts';
import { readOptionalObject } from './body.ts';
import { requestId } from './context.ts';
import { requiredBearer } from './credential.ts';
import { invalid, limitsOf } from './fields.ts';
import { replayedHeader, requestKey } from './idempotency.ts';
import { NO_STORE, replyJson } from './reply.ts';

export interface ChildKeyRoutes {
  create: (req: Request, res: Response) => Promise<void>;
  reset: (req: Request, res: Response) => Promise<void>;
  revoke: (req: Request, res: Response) => Promise<void>;
}

export function createChildKeyRoutes({ childKeys }: { childKeys: ChildKeys }): ChildKeyRoutes {
  return {
    create: async (req, res) => {
      const credential = requiredBearer(req);
      const fields = await readOptionalObject(req);
      const count = requireCount((fields['count'] ?? 1) as number);
      const terms: ChildTerms = { ...limitsOf(fields), ...modelsOf(fields) };
      const made = await childKeys.create(credential, { count, terms }, requestKey(req, 'child-key', fields));
      const { keys, cost, parentBalance } = made;
      const body = {
        api_keys: keys.map(({ key }) => key.reveal()),
        count: keys.length,
        cost_msats: cost,
        cost_sats: sats(cost),
        parent_balance: parentBalance,
        parent_balance_sats: satFloor(parentBalance),
        child_keys: keys.map(({ id, key }) => ({ id, api_key: key.reveal() })),
      };
      replyJson(res, requestId(req), 200, body, [...NO_STORE, ...replayedHeader(made.replayed)]);
    },

    reset: async (req, res) => {
      const credential = requiredBearer(req);
      const child = (await readOptionalObject(req))['child_key'];
      if (typeof child !== 'string' || child === '') {
        throw new NodeError('missing_param', 'child_key is required: the key or its id.', {
          param: 'child_key',
        });
      }
      await childKeys.reset(credential, child);
      const body = { success: true, message: 'Child key balance reset successfully.' };
      replyJson(res, requestId(req), 200, body, NO_STORE);
    },

    revoke: async (req, res) => {
      const id = String(req.params['id']);
      await childKeys.revoke(requiredBearer(req), id);
      // Whoever put the key itself into the address is not shown it once more.
      const shown = id.startsWith('ck_') ? { id } : {};
      replyJson(res, requestId(req), 200, { success: true, deleted: true, ...shown }, NO_STORE);
    },
  };
}

const sats = (amount: Msat): number => amount / 1000;

/** Ids as /v1/models lists them; an alias is not one. */
function modelsOf(fields: Record<string, unknown>): Pick<ChildTerms, 'models'> {
  const value = fields['models'];
  if (value === undefined || value === null) return {};
  const list: unknown[] = Array.isArray(value) ? value : [];
  const models = list.filter((id): id is string => typeof id === 'string' && id !== '');
  const fits =
    models.length === list.length &&
    models.length > 0 &&
    models.length <= LIMITS.children.modelsMax &&
    models.every((id) => id.length <= LIMITS.json.modelIdCharsMax);
  if (!fits) throw invalid('models', `a list of 1 to ${LIMITS.children.modelsMax} model ids`);
  return { models };
}
