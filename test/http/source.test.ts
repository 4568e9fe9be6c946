import { expect, test } from 'vitest';
import { networkOf } from '../../src/http/source.ts';

test.each([
  ['8.8.8.8', '8.8.8.8'],
  ['::ffff:8.8.8.8', '8.8.8.8'],
  ['2606:4700:4700::1111', '2606:4700:4700:0::/64'],
  ['2606:4700:4700:0:1:2:3:4', '2606:4700:4700:0::/64'],
  ['2606:4700::1:2:3:4', '2606:4700:0:0::/64'],
  ['2A00::1', '2a00:0:0:0::/64'],
])('%s is a client of %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});

test.each([
  '127.0.0.1',
  '::1',
  '10.1.2.3',
  '::ffff:192.168.0.1',
  'fe80::1%eth0',
  '172.17.0.1',
  '',
  'unknown',
])('%j may stand for many clients, so it is nobody in particular', (address) => {
  expect(networkOf(address)).toBeUndefined();
});
