import { expect, test } from 'vitest';
import { newCancel } from '../../src/base/cancel.ts';
import { NodeError } from '../../src/base/error.ts';
import { newRequestId } from '../../src/base/id.ts';
import { type ServeParts, createServe } from '../../src/gateway/serve.ts';
import { JSON_BODIES } from './json.ts';
import { ask, runRows } from './kit.ts';

runRows(JSON_BODIES);

/** J20 needs a model whose price is not known now, which a fixed configuration cannot have. */
test('J20 a model without a price is never free: 503 before anybody pays', async () => {
  const catalogue = { find: () => [{ modelId: 'raw-model', price: undefined }] };
  const serve = createServe({ catalogue } as unknown as ServeParts);
  const refused = await serve({
    id: newRequestId(),
    credential: undefined,
    endpoint: 'chat/completions',
    body: Buffer.from(JSON.stringify(ask())),
    delivery: 'live',
    gone: newCancel(),
  }).catch((error: unknown) => error as NodeError);
  expect(refused).toBeInstanceOf(NodeError);
  expect(refused).toMatchObject({ status: 503, code: 'price_unavailable' });
});
