import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  formatAddress,
  parseAddress,
  parseHostPort,
  type Scheme,
} from '../../src/client/address.js';
import { DstError } from '../../src/errors.js';

/** An address, and what it says: host, port, name and scheme. */
type Case = readonly [string, string, number, string | undefined, Scheme?];

const READ: readonly Case[] = [
  ['QUIC://127.0.0.1/demo', '127.0.0.1', 4433, 'demo', 'quic'],
  ['https://127.0.0.1/demo', '127.0.0.1', 4433, 'demo', 'https'],
  ['https://[::1]:443/demo', '::1', 443, 'demo', 'https'],
  ['storage.example:1/demo', 'storage.example', 1, 'demo'],
  ['Storage.Example/demo', 'storage.example', 4433, 'demo'],
  ['[::1]:4433/demo', '::1', 4433, 'demo'],
  ['[::1]/demo', '::1', 4433, 'demo'],
  ['quic://[fe80::1%eth0]:7/demo', 'fe80::1%eth0', 7, 'demo', 'quic'],
  ['localhost', 'localhost', 4433, undefined],
  ['localhost:99/', 'localhost', 99, undefined],
  ['localhost/a%20b%2Fc', 'localhost', 4433, 'a b/c'],
  ['localhost/a/b', 'localhost', 4433, 'a/b'],
  ['localhost/größe', 'localhost', 4433, 'größe'],
];

describe('addresses', () => {
  for (const [text, host, port, exportName, scheme] of READ) {
    test(text, () => assert.deepEqual(parseAddress(text), { scheme, host, port, exportName }));
  }

  for (const [text, says] of [
    ['nbd://h/demo', /nbd:\/\/, which is not known: use quic:\/\/, https:\/\/ or neither/],
    ['::1/demo', /write \[::1\]:4433/],
    ['[127.0.0.1]:1/demo', /HOST:PORT/],
    ['[::1/demo', /HOST:PORT/],
    ['user@h/demo', /HOST:PORT/],
    ['h:/demo', /HOST:PORT/],
    ['h:x/demo', /HOST:PORT/],
    ['h:99999/demo', /port/],
    ['h:0/demo', /port 0/],
    ['/demo', /HOST:PORT/],
    ['', /HOST:PORT/],
    ['h/de%mo', /%25/],
    ['h/demo?x=1', /%3F/],
    ['h/demo#x', /%23/],
    [`h/${'x'.repeat(4097)}`, /longer than 4096 bytes/],
  ] as const) {
    test(`${text.slice(0, 20)} is refused`, () => {
      assert.throws(
        () => parseAddress(text),
        (error) =>
          error instanceof DstError && error.code === 'DST_E_ADDRESS' && says.test(error.message),
      );
    });
  }

  test('port 0 is one to listen on', () => {
    assert.deepEqual(parseHostPort('[::]:0'), { host: '::', port: 0 });
  });

  test('what is formatted is read again', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 });
    const place = fc.record({
      scheme: fc.constantFrom('quic', 'https', undefined),
      host: fc.constantFrom('::1', '10.0.0.1', 'a.example'),
      port: fc.integer({ min: 1, max: 65_535 }),
    });
    fc.assert(
      fc.property(place, name, (from, exportName) => {
        const read = parseAddress(formatAddress(from, exportName));
        assert.deepEqual(read, { ...from, exportName });
      }),
    );
  });
});
