import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isLoopback,
  LOOPBACK_RULES,
  parseAddressRule,
  permissionByAddress,
} from '../../src/access/address-rules.js';
import { failsWith } from '../transport/fixtures.js';

/** A rule, an address, and what it gives: "-" where it does not match. */
const TABLE = `
192.0.2.7             192.0.2.7             rw
192.0.2.7             192.0.2.8             -
192.0.2.0/24=ro       192.0.2.255           ro
192.0.2.0/24=rw       192.0.3.0             -
192.0.2.99/24         192.0.2.1             rw
10.128.0.0/9          10.127.255.255        -
10.128.0.0/9          10.255.255.255        rw
0.0.0.0/0=ro          203.0.113.9           ro
0.0.0.0/0             2001:db8::1           -
::/0                  203.0.113.9           -
::/0                  ::ffff:203.0.113.9    -
::/0=ro               2001:db8::1           ro
2001:db8::/33         2001:db8:7fff::1      rw
2001:db8::/33         2001:db8:8000::1      -
2001:db8::7           2001:DB8:0:0::7       rw
fe80::/10             fe80::1%eth0          rw
192.0.2.0/24          ::ffff:192.0.2.9      rw
192.0.2.0/24          ::ffff:c000:209       rw
::ffff:192.0.2.0/120  192.0.2.200           rw
::ffff:192.0.2.0/120  192.0.3.200           -
::ffff:192.0.2.7=ro   192.0.2.7             ro
192.0.2.0/24          memory                -
`;

for (const line of TABLE.trim().split('\n')) {
  const [rule = '', address = '', expected] = line.split(/\s+/);
  test(`${rule} gives ${address} ${expected}`, () => {
    const permission = permissionByAddress([parseAddressRule(rule)], address);
    assert.equal(permission ?? '-', expected);
  });
}

test('the first rule that matches decides', () => {
  const rules = ['192.0.2.7=ro', '192.0.2.0/24', '192.0.2.0/25=ro'].map(parseAddressRule);
  assert.equal(permissionByAddress(rules, '192.0.2.7'), 'ro');
  assert.equal(permissionByAddress(rules, '192.0.2.8'), 'rw');
  assert.equal(permissionByAddress(rules, '192.0.3.8'), undefined);
});

const MISTAKES: readonly [rule: string, says: RegExp][] = [
  ['storage.example', /"storage\.example" is no address.*not as a name/],
  ['eth0', /no address/],
  ['', /no address/],
  ['192.0.2', /no address/],
  ['192.0.2.0/33', /\/33 is out of range.*\/32/],
  ['2001:db8::/129', /\/129 is out of range.*\/128/],
  ['::ffff:192.0.2.0/24', /\/24 is out of range.*give \/96 to \/128$/],
  ['192.0.2.0/', /no address/],
  ['192.0.2.0/24/24', /no address/],
  ['fe80::1%eth0', /no address/],
  ['192.0.2.0/24=rx', /"rx" is no permission: write =ro or =rw/],
];

for (const [rule, says] of MISTAKES) {
  test(`the rule "${rule}" is refused`, () => {
    assert.throws(() => parseAddressRule(rule), failsWith('DST_E_ALLOW'));
    assert.throws(() => parseAddressRule(rule), { message: says });
  });
}

test('only this machine is loopback', () => {
  assert.equal(permissionByAddress(LOOPBACK_RULES, '127.1.2.3'), 'rw');
  assert.equal(permissionByAddress(LOOPBACK_RULES, '::ffff:127.0.0.1'), 'rw');
  assert.equal(isLoopback('::1'), true);
  assert.equal(isLoopback('0.0.0.0'), false);
  assert.equal(isLoopback('192.0.2.1'), false);
});
