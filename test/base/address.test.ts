import type { LookupAddress } from 'node:dns';
import { expect, test } from 'vitest';
import { ipLiteral, isPrivateAddress, publicLookup } from '../../src/base/address.ts';

test.each([
  '1.1.1.1',
  '8.8.8.8',
  '172.32.0.1',
  '192.167.255.255',
  '223.255.255.254',
  '2606:4700:4700::1111',
  '2a00:1450::1',
])('%s is public', (address) => {
  expect(isPrivateAddress(address)).toBe(false);
});

test.each([
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:8.8.8.8',
  '192.88.99.1',
  '3fff::1',
  '::ffff:a9fe:a9fe',
  'fe80::1',
  'fe80::1%eth0',
  'fc00::1',
  'fd12:3456::1',
  'ff02::1',
  '64:ff9b::7f00:1',
  '2002:7f00:1::',
  '2001::1',
  '2001:db8::1',
  'localhost',
  '',
])('%s is not', (address) => {
  expect(isPrivateAddress(address)).toBe(true);
});

test('literal addresses are told from names', () => {
  expect(ipLiteral(new URL('http://[::1]/'))).toBe('::1');
  expect(ipLiteral(new URL('http://127.0.0.1/'))).toBe('127.0.0.1');
  expect(ipLiteral(new URL('http://example.com/'))).toBeUndefined();
});

test.each([true, false])('a name that resolves to loopback yields no address (all: %s)', async (all) => {
  const error = await new Promise<Error | null>((resolve) =>
    publicLookup('localhost', { all }, (failure: Error | null, _addresses: string | LookupAddress[]) =>
      resolve(failure),
    ),
  );
  expect(error).toMatchObject({ message: 'private_address' });
});
