import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { DstError } from '../../src/errors.js';
import {
  DER_TAG,
  onlyElement,
  readElements,
  readObjectIdentifier,
  readSmallInteger,
} from '../../src/trust/der.js';

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

function refused(text: string): void {
  assert.throws(() => readElements(hex(text)), { code: 'DST_E_DER' });
}

test('elements side by side are cut at their lengths', () => {
  const elements = readElements(hex('02 01 05  04 00'));
  assert.deepEqual(
    elements.map(({ tag, content, encoded }) => [tag, content.length, encoded.length]),
    [
      [DER_TAG.INTEGER, 1, 3],
      [DER_TAG.OCTET_STRING, 0, 2],
    ],
  );
});

test('long lengths are read', () => {
  for (const length of [127, 128, 255, 256, 65535, 65536]) {
    const octets = length.toString(16);
    const padded = octets.length % 2 === 0 ? octets : `0${octets}`;
    const header = length < 128 ? padded : `${(0x80 + padded.length / 2).toString(16)}${padded}`;
    const bytes = Buffer.concat([hex('04'), hex(header), Buffer.alloc(length)]);
    assert.equal(readElements(bytes)[0]?.content.length, length);
  }
});

test('a length that is not in its shortest form is refused', () => {
  refused('04 81 01 00');
  refused('04 82 00 80');
});

test('an indefinite length is refused', () => {
  refused('30 80 00 00');
});

test('an element that ends early is refused', () => {
  refused('04');
  refused('04 05 00');
  refused('04 82 01');
  refused('04 84 ff ff ff ff');
});

test('a tag of several octets is refused', () => {
  refused('1f 81 01 00');
});

test('one element must be alone and of the tag asked for', () => {
  assert.equal(onlyElement(hex('02 01 05'), DER_TAG.INTEGER).content[0], 5);
  for (const text of ['', '02 01 05 02 01 05', '04 01 05']) {
    assert.throws(() => onlyElement(hex(text), DER_TAG.INTEGER), { code: 'DST_E_DER' });
  }
});

test('an integer that is empty, long or negative is refused', () => {
  assert.equal(readSmallInteger(readElements(hex('02 02 03 04'))[0]), 0x0304);
  for (const text of ['02 00', '02 01 ff', '02 05 00 00 00 00 01']) {
    assert.throws(() => readSmallInteger(readElements(hex(text))[0]), { code: 'DST_E_DER' });
  }
});

test('object identifiers are read in dotted form', () => {
  const read = (text: string) => readObjectIdentifier(readElements(hex(text))[0]);
  assert.equal(read('06 03 55 1d 13'), '2.5.29.19');
  assert.equal(read('06 08 2a 86 48 ce 3d 04 03 02'), '1.2.840.10045.4.3.2');
  for (const text of ['06 00', '06 01 86', '06 09 ff ff ff ff ff ff ff ff 7f']) {
    assert.throws(() => read(text), { code: 'DST_E_DER' });
  }
});

test('any bytes give elements that add up to them, or a coded error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (array) => {
      const bytes = Buffer.from(array);
      try {
        const encoded = readElements(bytes).map((element) => element.encoded);
        assert.deepEqual(Buffer.concat(encoded), bytes);
      } catch (error) {
        assert(error instanceof DstError && error.code === 'DST_E_DER', String(error));
      }
    }),
  );
});
