import { expect, test } from 'vitest';
import { runDemo } from '../../src/demo.ts';

test('the demo tells its story once, over HTTP and over direct messages, and not one msat goes astray', async () => {
  const printed: string[] = [];
  const code = await runDemo({
    once: true,
    json: true,
    print: (line) => void printed.push(line),
    signal: new AbortController().signal,
  });
  expect(code).toBe(0);
  expect(printed).toHaveLength(1);
  const story = JSON.parse(printed[0] ?? '');
  expect(story).toEqual({
    node: {
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      npub: expect.stringMatching(/^npub1/),
    },
    announced: 1,
    discovered: 1,
    paid: ['bearer-cashu', 'sk-key', 'x-cashu', 'dm'].map((how) => ({
      how,
      cost_msats: expect.any(Number),
      balance_before_msats: expect.any(Number),
      balance_after_msats: expect.any(Number),
      change_sats: how === 'x-cashu' ? expect.any(Number) : 0,
    })),
    drift_msat: 0,
    ms: expect.any(Number),
  });
  for (const step of story.paid.filter(({ how }: { how: string }) => how !== 'x-cashu')) {
    expect(step.cost_msats).toBeGreaterThan(0);
    expect(step.balance_before_msats - step.balance_after_msats).toBe(step.cost_msats);
  }
  // The same question costs the same, however it is asked.
  expect(story.paid[3].cost_msats).toBe(story.paid[1].cost_msats);
});
