import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { describe, it } from 'node:test';
import {
  decodeAnswers,
  decodeAttributes,
  encodeRequest,
  findAttribute,
  nestedAttribute,
  numberOf,
  textAttribute,
  u32Attribute,
  u64Attribute,
} from '../../../src/nbd/kernel/netlink.js';

/** Written down by hand for machines whose first byte is the least; all of ours are. */
const skip = endianness() === 'LE' ? false : 'the bytes below are those of another machine';

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
}

describe('netlink requests', { skip }, () => {
  it('have both headers, ask for an acknowledgement, and carry attributes', () => {
    const request = { family: 0x10, command: 3, version: 2, attributes: [textAttribute(2, 'nbd')] };
    assert.deepEqual(
      encodeRequest(request, 7),
      bytes('1c000000 1000 0500 07000000 00000000  03 02 0000  0800 0200 6e626400'),
    );
  });

  it('pad attributes to four bytes, and count the padding in the message only', () => {
    const request = { family: 0x20, command: 1, version: 1, attributes: [textAttribute(10, 'ab')] };
    const message = encodeRequest(request, 1);
    assert.equal(message.readUInt32LE(0), 28);
    assert.deepEqual(message.subarray(20), bytes('0700 0a00 616200 00'));
  });

  it('write numbers in 4 and in 8 bytes', () => {
    assert.deepEqual(u32Attribute(1, 0xfffffffe).value, bytes('feffffff'));
    assert.deepEqual(u64Attribute(2, 2 ** 52 + 1).value, bytes('0100000000001000'));
  });

  it('mark attributes that hold others', () => {
    const sockets = nestedAttribute(7, [nestedAttribute(1, [u32Attribute(1, 5)])]);
    const request = { family: 0x20, command: 1, version: 1, attributes: [sockets] };
    assert.deepEqual(
      encodeRequest(request, 1).subarray(20),
      bytes('1000 0780  0c00 0180  0800 0100 05000000'),
    );
  });
});

describe('netlink answers', { skip }, () => {
  it('are messages, then an acknowledgement, in one datagram or several', () => {
    const message = bytes('1c000000 2000 0000 09000000 00000000  01 01 0000  0800 0100 03000000');
    const acknowledged = bytes('14000000 0200 0000 09000000 00000000  00000000');
    const answers = decodeAnswers(Buffer.concat([message, acknowledged]));
    assert.deepEqual(answers[1], { kind: 'end', sequence: 9, errno: 0 });
    const [first] = answers;
    assert.ok(first?.kind === 'message' && first.sequence === 9 && first.command === 1);
    const index = findAttribute(first.attributes, 1);
    assert.equal(index && numberOf(index), 3);
  });

  it('tell an errno without its sign', () => {
    const refused = bytes('14000000 0200 0000 09000000 00000000  f0ffffff');
    assert.deepEqual(decodeAnswers(refused), [{ kind: 'end', sequence: 9, errno: 16 }]);
  });

  it('of no meaning are passed over', () => {
    assert.deepEqual(decodeAnswers(bytes('10000000 0100 0000 00000000 00000000')), []);
  });

  for (const [what, hex] of [
    ['a cut header', '14000000 0200'],
    ['a length below the header', '0f000000 0200 0000 09000000 00000000'],
    ['a length beyond the datagram', '20000000 0200 0000 09000000 00000000 00000000'],
    ['an error without a number', '10000000 0200 0000 09000000 00000000'],
    [
      'an attribute beyond the message',
      '1c000000 2000 0000 09000000 00000000 01010000 0c00 0100 03000000',
    ],
    ['an attribute below its header', '18000000 2000 0000 09000000 00000000 01010000 0300 0100'],
  ] as const) {
    it(`with ${what} are refused, not read on for ever`, () => {
      assert.throws(() => decodeAnswers(bytes(hex)), /invariant broken/);
    });
  }
});

describe('netlink attributes', { skip }, () => {
  it('come without their flags and their padding', () => {
    const [first, second] = decodeAttributes(bytes('0500 0180 07 000000  0600 0240 0801 0000'));
    assert.ok(first !== undefined && second !== undefined);
    assert.deepEqual([first.type, numberOf(first)], [1, 7]);
    assert.deepEqual([second.type, numberOf(second)], [2, 0x108]);
  });

  it('may end without padding', () => {
    assert.equal(decodeAttributes(bytes('0500 0100 07')).length, 1);
  });

  it('are no numbers in other lengths', () => {
    assert.throws(() => numberOf({ type: 3, value: Buffer.alloc(3) }), /invariant broken/);
  });
});
