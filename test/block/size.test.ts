import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkSize } from '../../src/block/check-size.js';
import { formatSize, parseSize } from '../../src/block/size.js';
import { dstError } from './helpers.js';

test('parseSize reads plain bytes and powers of 1024', () => {
  assert.equal(parseSize('4096'), 4096);
  assert.equal(parseSize('512B'), 512);
  assert.equal(parseSize('64K'), 64 * 1024);
  assert.equal(parseSize('64M'), 64 * 1024 ** 2);
  assert.equal(parseSize('10G'), 10 * 1024 ** 3);
  assert.equal(parseSize('2T'), 2 * 1024 ** 4);
  assert.equal(parseSize('1P'), 1024 ** 5);
});

test('parseSize reads the long form, either case, a space, and a fraction', () => {
  assert.equal(parseSize('64KiB'), 64 * 1024);
  assert.equal(parseSize('64 MiB'), 64 * 1024 ** 2);
  assert.equal(parseSize('1g'), 1024 ** 3);
  assert.equal(parseSize('1.5G'), 1.5 * 1024 ** 3);
});

test('parseSize refuses what is no size, and shows how to write one', () => {
  for (const junk of ['', 'big', '-1', '1e9', '64MB', '0x10', '1,5G', 'M', '5Q', 'Infinity']) {
    assert.throws(() => parseSize(junk), dstError('DST_E_SIZE', { message: /64M/ }), junk);
  }
});

test('parseSize refuses a part of a byte', () => {
  assert.throws(() => parseSize('0.3K'), dstError('DST_E_SIZE', { message: /whole number/ }));
});

test('parseSize refuses more than a device can hold', () => {
  assert.throws(() => parseSize('8P'), dstError('DST_E_SIZE', { message: /smaller/ }));
  assert.throws(() => parseSize('9'.repeat(400)), dstError('DST_E_SIZE'));
});

test('formatSize names sizes for people, in words that parseSize reads', () => {
  assert.equal(formatSize(0), '0 B');
  assert.equal(formatSize(512), '512 B');
  assert.equal(formatSize(64 * 1024 ** 2), '64 MiB');
  assert.equal(formatSize(1.5 * 1024 ** 3), '1.5 GiB');
  assert.equal(formatSize(1000 ** 3), '953.67 MiB');
  assert.equal(parseSize(formatSize(3 * 1024 ** 4)), 3 * 1024 ** 4);
});

test('checkSize refuses sizes that no device has', () => {
  checkSize('--size', 512);
  assert.throws(() => checkSize('--size', 0), dstError('DST_E_SIZE'));
  assert.throws(() => checkSize('--size', -512), dstError('DST_E_SIZE'));
  assert.throws(() => checkSize('--size', 2 ** 60), dstError('DST_E_SIZE'));
  assert.throws(
    () => checkSize('/srv/a.img', 1000),
    dstError('DST_E_SIZE', { message: /^\/srv\/a.img is 1000 bytes, .* 512: 1024 would do$/ }),
  );
});
