import { expect, test } from 'vitest';
import { playInvoice } from '../../src/demo/mint.ts';
import { readInvoice } from '../../src/wallet/bolt11.ts';

const HASH = '0001020304050607080900010203040506070809000102030405060708090102';

test('examples of the specification are read', () => {
  const open =
    'lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql';
  expect(readInvoice(open)).toMatchObject({
    msat: undefined,
    paymentHash: HASH,
    expiresAt: 1496314658 + 3600,
  });
  const coffee =
    'lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh';
  expect(readInvoice(coffee)).toMatchObject({ msat: 250_000_000, expiresAt: 1496314658 + 60 });
  expect(readInvoice(coffee.toUpperCase())?.paymentHash).toBe(HASH);
  expect(readInvoice(`lightning:${coffee}`)?.msat).toBe(250_000_000);
});

test('play invoices carry what they were made with', () => {
  const hash = 'ab'.repeat(32);
  const text = playInvoice(21_001, { timestamp: 1_700_000_000, expirySeconds: 90, descriptionHash: hash });
  expect(readInvoice(text)).toMatchObject({ msat: 21_001, expiresAt: 1_700_000_090, descriptionHash: hash });
});

test('anything else is not an invoice', () => {
  const good = playInvoice(1_000);
  const middle = Math.floor(good.length / 2);
  const flipped = good.slice(0, middle) + (good[middle] === 'q' ? 'p' : 'q') + good.slice(middle + 1);
  const mixed = good.slice(0, 10).toUpperCase() + good.slice(10);
  for (const text of [
    '',
    'lnbc',
    'lnbc1',
    'hello',
    flipped,
    mixed,
    `${good}q`,
    good.slice(0, -1),
    'lnbc1' + 'q'.repeat(5_000),
  ])
    expect([text.slice(0, 40), readInvoice(text)]).toEqual([text.slice(0, 40), undefined]);
});
