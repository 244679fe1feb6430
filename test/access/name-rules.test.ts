import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseNameRule, permissionByName } from '../../src/access/name-rules.js';
import { failsWith } from '../transport/fixtures.js';

const RULES = ['backup.example=ro', 'host.example', 'urn:x?a=b', 'odd=ro=rw'].map(parseNameRule);

const TABLE: readonly [names: string[], permission: string | undefined][] = [
  [['host.example'], 'rw'],
  [['backup.example'], 'ro'],
  [['other.example', 'host.example'], 'rw'],
  [['host.example', 'backup.example'], 'ro'],
  [['urn:x?a=b'], 'rw'],
  [['odd=ro'], 'rw'],
  [['HOST.example'], undefined],
  [['a.host.example'], undefined],
  [['*.example'], undefined],
  [[], undefined],
];

for (const [names, permission] of TABLE) {
  test(`whoever is ${names.join(' and ') || 'nobody'} may ${permission ?? 'do nothing'}`, () => {
    assert.equal(permissionByName(RULES, names), permission);
  });
}

test('a rule without a name is refused', () => {
  assert.throws(() => parseNameRule('=ro'), failsWith('DST_E_ALLOW_NAME'));
});
