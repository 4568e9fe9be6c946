/** LNURLs as addresses: the same questions, the same rules about where they may lead. */
import { expect, onTestFinished, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { systemClock } from '../../src/base/time.ts';
import { createTestAddress } from '../../src/demo/address.ts';
import { playLnurl } from '../../src/demo/play-invoice.ts';
import { bytesOf, readBech32 } from '../../src/wallet/bech32.ts';
import { createAddressBook } from '../../src/wallet/lnurl.ts';

/** The example of LUD-01. */
const EXAMPLE =
  'LNURL1DP68GURN8GHJ7UM9WFMXJCM99E3K7MF0V9CXJ0M385EKVCENXC6R2C35XVUKXEFCV5MKVV34X5EKZD3EV56NYD3HXQURZEPEXEJXXEPNXSCRVWFNV9NXZCN9XQ6XYEFHVGCXXCMYXYMNSERXFQ5FNS';

function book(allowPrivate: boolean) {
  const addresses = createAddressBook({ allowPrivate, clock: systemClock, log: silentLogger });
  onTestFinished(() => addresses.close());
  return addresses;
}
const refusal = (allowPrivate: boolean, lnurl: string): Promise<unknown> =>
  book(allowPrivate)
    .invoiceOf(lnurl, 1_000)
    .then(
      () => 'asked',
      ({ code, message }: { code: string; message: string }) => [code, message],
    );

test('an LNURL is read as LUD-01 says, in both cases and never in a mixture', () => {
  const url = 'https://service.com/api?q=3fc3645b439ce8e7f2553a69e5267081d96dcd340693afabe04be7b0ccd178df';
  for (const text of [EXAMPLE, EXAMPLE.toLowerCase()]) {
    const bytes = bytesOf(readBech32(text)?.words ?? []);
    expect(Buffer.from(bytes ?? []).toString()).toBe(url);
  }
  expect(playLnurl(url)).toBe(EXAMPLE.toLowerCase());
  expect(readBech32(EXAMPLE.replace('LNURL', 'lnurl'))).toBeUndefined();
  expect(readBech32(EXAMPLE.replace('DP68', 'DP86'))).toBeUndefined();
  expect(bytesOf([31])).toBeUndefined();
});

test('an invoice comes from where the LNURL leads', async () => {
  const address = await createTestAddress();
  onTestFinished(() => address.close());
  for (const lnurl of [address.lnurl, address.lnurl.toUpperCase(), `lightning:${address.lnurl}`]) {
    const invoice = await book(true).invoiceOf(lnurl, 21_000);
    expect(invoice).toMatchObject({ msat: 21_000, text: address.invoices.at(-1) });
  }
});

test.each([
  'http://example.com/pay',
  'https://127.0.0.1/pay',
  'https://user:pass@example.com/pay',
  'https://hidden.onion/pay',
  'file:///etc/passwd',
])('an LNURL does not lead to %s', async (url) => {
  const [code, message] = (await refusal(false, playLnurl(url))) as string[];
  expect(code).toBe('invalid_address');
  expect(message).toContain('where this node does not go');
});

test.each([
  'lnurl1',
  'lnurl1qqqqqq',
  EXAMPLE.slice(0, -1),
  playLnurl('not a url'),
  `${EXAMPLE}${'q'.repeat(300)}`,
])('a damaged LNURL is refused: %s', async (lnurl) => {
  expect(await refusal(false, lnurl)).toMatchObject([
    'invalid_address',
    expect.stringMatching(/lnurl/i),
  ] as never);
});
