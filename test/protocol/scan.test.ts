/** What msgpack can say and the protocol does not, and what would cost a receiver dearly. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BODY_DEPTH_MAX, CONTROL_BODY_BYTES_MAX } from '../../src/limits.js';
import { decodeBody, decodeHeader, decodeMap } from '../../src/protocol/header.js';
import { isPlain } from '../../src/protocol/scan.js';
import { refuses } from './errors.js';

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

/** So many arrays within each other. */
function nested(depth: number): Buffer {
  return Buffer.concat([Buffer.alloc(depth - 1, 0x91), Buffer.of(0x90)]);
}

const PLAIN: readonly [string, string][] = [
  ['nil', 'c0'],
  ['a boolean', 'c3'],
  ['a positive fixint', '7f'],
  ['a negative fixint', 'e0'],
  ['a uint 8', 'cc ff'],
  ['a uint 16', 'cd ffff'],
  ['a uint 32', 'ce ffffffff'],
  ['a uint 64', 'cf 0000000100000000'],
  ['an int 8', 'd0 80'],
  ['an int 16', 'd1 8000'],
  ['an int 32', 'd2 80000000'],
  ['an int 64', 'd3 ffffffffffffffff'],
  ['a float 32', 'ca 3f800000'],
  ['a float 64', 'cb 41f4000000000000'],
  ['a fixstr', 'a2 6869'],
  ['a str 8', 'd9 02 6869'],
  ['a str 16', 'da 0002 6869'],
  ['a str 32', 'db 00000002 6869'],
  ['a bin 8', 'c4 01 ff'],
  ['a bin 16', 'c5 0001 ff'],
  ['a bin 32', 'c6 00000001 ff'],
  ['an array', '92 01 c0'],
  ['an array 16', 'dc 0002 01 c0'],
  ['an array 32', 'dd 00000002 01 c0'],
  ['a map', '81 a1 61 01'],
  ['a map 16', 'de 0001 a1 61 01'],
  ['a map 32', 'df 00000001 d9 01 61 01'],
];

for (const [what, bytes] of PLAIN) {
  test(`${what} is plain; cut short or with more after it, it is not`, () => {
    const value = hex(bytes);
    assert.equal(isPlain(value, 2), true);
    for (let end = 0; end < value.length; end++) {
      assert.equal(isPlain(value.subarray(0, end), 2), false);
    }
    assert.equal(isPlain(Buffer.concat([value, Buffer.of(0xc0)]), 2), false);
    decodeBody(value);
  });
}

const HOSTILE: readonly [string, string][] = [
  ['the byte that msgpack never uses', 'c1'],
  ['an ext 8 with a date', 'c7 04 ff 00000001'],
  ['an ext 16', 'c8 0001 42 01'],
  ['an ext 32', 'c9 00000001 42 01'],
  ['a fixext 1: undefined', 'd4 00 00'],
  ['a record definition, which msgpackr compiles', 'd4 72 40 91 a1 61 01'],
  ['a record definition with two bytes of id', 'd5 72 40 01 91 a1 61 01'],
  ['a fixext 4 with a date', 'd6 ff 00000001'],
  ['a fixext 4 with a structured clone', 'd6 69 00000001 90'],
  ['a reference to nothing', 'd6 70 00000001'],
  ['a fixext 8', 'd7 ff 0000000000000001'],
  ['a fixext 16', `d8 42 ${'00'.repeat(16)}`],
  ['an error', 'c7 00 65 93 a1 61 a1 62 c0'],
  ['a set', 'c7 00 73 91 01'],
  ['a regular expression', 'c7 00 78 92 a4 28612b29 a0'],
  ['a typed array', 'c7 02 74 01 00'],
  ['bundled strings', 'd6 62 00000004 01 a1 61 a1 62'],
  ['an array with more elements than bytes', 'dd ffffffff 01'],
  ['an array 16 with more elements than bytes', 'dc ffff 01'],
  ['a map with more entries than bytes', 'df ffffffff a1 61 01'],
  ['a bin past the end', 'c6 ffffffff 01'],
  ['a str past the end', 'db ffffffff 61'],
  ['a map with an integer as its key', '81 01 02'],
  ['a map with a map as its key', '81 80 02'],
  ['a map with a bin as its key', '81 c4 01 61 02'],
];

for (const [what, bytes] of HOSTILE) {
  test(`${what} is refused, alone and within others`, () => {
    refuses(() => decodeBody(hex(bytes)), /not plain/);
    refuses(() => decodeBody(Buffer.concat([hex('91'), hex(bytes)])), /not plain/);
    refuses(() => decodeMap(Buffer.concat([hex('81 a1 61'), hex(bytes)])), /not plain/);
    refuses(() => decodeHeader(Buffer.concat([hex('91'), hex(bytes)])), /not plain/);
  });
}

test('nesting is taken down to its limit', () => {
  decodeBody(nested(BODY_DEPTH_MAX));
  refuses(() => decodeBody(nested(BODY_DEPTH_MAX + 1)), /not plain/);
});

test('a whole control body of nested arrays or maps is refused without a stack overflow', () => {
  refuses(() => decodeBody(nested(CONTROL_BODY_BYTES_MAX)), /not plain/);
  const maps = Buffer.from('81a0'.repeat(CONTROL_BODY_BYTES_MAX / 2), 'hex');
  refuses(() => decodeBody(maps), /not plain/);
});

test('arrays that each claim all the bytes that are left are refused', () => {
  const bytes = Buffer.alloc(CONTROL_BODY_BYTES_MAX, 0xc0);
  for (let at = 0; at < 7 * 5; at += 5) {
    bytes[at] = 0xdd;
    bytes.writeUInt32BE(bytes.length - at - 5, at + 1);
  }
  refuses(() => decodeBody(bytes), /not plain/);
});

test('a map cannot reach a prototype', () => {
  const body = decodeMap(hex('82 a9 5f5f70726f746f5f5f 81 a1 78 01 d9 01 61 02'));
  assert.equal(Object.getPrototypeOf(body), Object.prototype);
  assert.equal(body.x, undefined);
  assert.equal(({} as Record<string, unknown>).x, undefined);
});

test('a body that must be a map is nothing else', () => {
  for (const bytes of ['c0', '01', 'a1 61', 'c4 01 61', '90']) {
    refuses(() => decodeMap(hex(bytes)), /not a map/);
  }
});
