import assert from 'node:assert/strict';
import test from 'node:test';
import { parseHost } from '../../src/trust/host.js';

test('names are lower case, in ASCII, with no dot at their end', () => {
  for (const [text, value] of [
    ['Disk.Example.COM', 'disk.example.com'],
    ['disk.example.com.', 'disk.example.com'],
    ['my_disk', 'my_disk'],
    ['b\u00fccher.example', 'xn--bcher-kva.example'],
  ] as const) {
    assert.deepEqual(parseHost(text), { kind: 'dns', value });
  }
});

test('addresses have one form', () => {
  for (const [text, value] of [
    ['127.0.0.1', '127.0.0.1'],
    ['2001:DB8:0::1', '2001:db8::1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['fe80::1%eth0', 'fe80::1'],
  ] as const) {
    assert.deepEqual(parseHost(text), { kind: 'ip', value });
  }
});

test('what is neither is undefined', () => {
  for (const text of [
    '',
    '.',
    '.example.com',
    'a..b',
    '-a.example',
    'a b',
    'a/b',
    'host:80',
    '[::1]',
    '1.2.3',
    '256.1.1.1',
    '*.example.com',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(127)}example`,
    'a\0b',
  ]) {
    assert.equal(parseHost(text), undefined, JSON.stringify(text));
  }
});
