import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAddress, siteOf } from '../../src/access/address.js';

const SITES: readonly [address: string, site: string][] = [
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:db8::6', '2001:db8:0:0::/64'],
  ['2001:DB8::1:0:0:6', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
];

for (const [text, site] of SITES) {
  test(`${text} is of ${site}`, () => {
    const address = readAddress(text);
    assert.ok(address);
    assert.equal(siteOf(address), site);
  });
}

test('a name is no address', () => {
  assert.equal(readAddress('memory'), undefined);
});
