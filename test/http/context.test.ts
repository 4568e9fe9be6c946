import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createExpressServer, requestId } from '../../src/http/context.ts';

const { app, server } = createExpressServer();
afterEach(() => new Promise<void>((resolve) => void server.close(() => resolve())));

test('requests and responses are born with the prototypes that Express would give them', async () => {
  // If Express changes how it prepares them, this fails before anybody wonders where two thirds of the speed went.
  const born: boolean[] = [];
  server.prependListener('request', (req, res) => {
    born.push(Object.getPrototypeOf(req) === app.request, Object.getPrototypeOf(res) === app.response);
  });
  app.get('/', (req, res) => {
    born.push(Object.getPrototypeOf(req) === app.request);
    res.send(requestId(req));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  expect(await answer.text()).toMatch(/^req_[0-9a-f]{24}$/);
  expect(born).toEqual([true, true, true]);
});
