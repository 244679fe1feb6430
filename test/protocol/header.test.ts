import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEVICE_BYTES_MAX } from '../../src/limits.js';
import { encodeBody } from '../../src/protocol/encode.js';
import { kindName } from '../../src/protocol/frame.js';
import { decodeHeader, type Header } from '../../src/protocol/header.js';
import { FLAGS_ALLOWED, KIND } from '../../src/protocol/kinds.js';
import { refuses } from './errors.js';

const NO_DIGEST = Buffer.alloc(0);
const READ = [KIND.read, 300, 0, 0, 290, 8192, 4096, NO_DIGEST];
const DATA = [KIND.data, 300, 0, 16, NO_DIGEST];
const PING = [KIND.ping, 9, 0, 0];

function decode(values: readonly unknown[]): Header {
  return decodeHeader(encodeBody(values));
}

/** A header with one of its elements replaced. */
function changed(values: readonly unknown[], index: number, value: unknown): unknown[] {
  return values.map((old, at) => (at === index ? value : old));
}

test('headers with fewer or more elements than their kind has are refused', () => {
  for (const header of [READ, DATA, PING]) {
    refuses(() => decode(header.slice(0, -1)), /header elements/);
    refuses(() => decode([...header, 0]), /header elements/);
  }
});

test('a header that is no array is refused', () => {
  for (const value of [{ kind: 1 }, 1, null, 'read']) {
    refuses(() => decodeHeader(encodeBody(value)));
  }
});

test('a kind that is not known is refused', () => {
  const known = new Set<number>(Object.values(KIND));
  for (let kind = 0; kind <= 0xff; kind++) {
    if (known.has(kind)) continue;
    for (const header of [READ, DATA, PING]) {
      refuses(() => decode(changed(header, 0, kind)), /unknown kind/);
    }
  }
  refuses(() => decode(changed(READ, 0, 'read')), /a kind/);
});

test('every integer of a header is checked for its type and its range', () => {
  const cases: readonly [readonly unknown[], number, number][] = [
    [READ, 1, Number.MAX_SAFE_INTEGER],
    [READ, 4, Number.MAX_SAFE_INTEGER],
    [READ, 5, DEVICE_BYTES_MAX],
    [READ, 6, DEVICE_BYTES_MAX],
    [DATA, 1, Number.MAX_SAFE_INTEGER],
    [DATA, 2, 0xffff],
    [DATA, 3, 0xffffffff],
    [PING, 1, Number.MAX_SAFE_INTEGER],
    [PING, 2, 0],
    [PING, 3, 0xffffffff],
  ];
  for (const [header, index, max] of cases) {
    decode(changed(header, index, max));
    for (const bad of [-1, max + 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1', null, true]) {
      refuses(() => decode(changed(header, index, bad)));
    }
  }
});

test('an integer may travel as a uint 64, an int 64 or a float 64', () => {
  const offset = 2 ** 32 + 512;
  const tail = Buffer.from('cd1000c400', 'hex');
  const head = Buffer.from('981001000001', 'hex');
  const [uint64, int64, float64] = [0xcf, 0xd3, 0xcb].map((type) => {
    const field = Buffer.alloc(9);
    field[0] = type;
    if (type === 0xcb) field.writeDoubleBE(offset, 1);
    else field.writeBigUInt64BE(BigInt(offset), 1);
    return decodeHeader(Buffer.concat([head, field, tail])).offset;
  });
  assert.deepEqual([uint64, int64, float64], [offset, offset, offset]);
});

test('an integer past 2^53 is refused, not rounded', () => {
  const header = Buffer.from('9404cf00200000000000010000', 'hex');
  refuses(() => decodeHeader(header), /sequence/);
});

test('each request takes the flags that are its own, and no others', () => {
  for (const [kind, allowed] of Object.entries(FLAGS_ALLOWED)) {
    for (let flags = 0; flags <= 0xff; flags++) {
      const header = changed(changed(READ, 0, Number(kind)), 2, flags);
      if (Number(kind) === KIND.write) header[3] = header[6];
      if ((flags & ~allowed) === 0) assert.equal(decode(header).flags, flags);
      else refuses(() => decode(header), /flags/);
    }
  }
});

test('only a write has a payload, as long as what it writes', () => {
  for (const kind of Object.keys(FLAGS_ALLOWED).map(Number)) {
    const header = changed(READ, 0, kind);
    const right = kind === KIND.write ? 4096 : 0;
    assert.equal(decode(changed(header, 3, right)).payloadBytes, right);
    refuses(() => decode(changed(header, 3, right + 1)), new RegExp(`on ${kindName(kind)}`));
  }
});

test('done has no payload', () => {
  refuses(() => decode(changed(DATA, 0, KIND.done)), /payload on done/);
});

test('a checksum is a bin of at most 64 bytes', () => {
  assert.equal(decode(changed(READ, 7, Buffer.alloc(64, 1))).checksum.length, 64);
  for (const bad of [Buffer.alloc(65), 'text', 0, null]) {
    refuses(() => decode(changed(READ, 7, bad)), /checksum/);
  }
});

test('a checksum does not pin the chunk that it arrived in', () => {
  const chunk = Buffer.alloc(65536);
  const bytes = encodeBody(changed(READ, 7, Buffer.alloc(32, 1)));
  bytes.copy(chunk);
  const { checksum } = decodeHeader(chunk.subarray(0, bytes.length));
  assert.notEqual(checksum.buffer, chunk.buffer);
});
