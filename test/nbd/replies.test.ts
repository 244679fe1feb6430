import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Extent } from '../../src/block/device.js';
import { payloadOf } from '../../src/block/payload.js';
import { NBD_REPLY_SLAB_BYTES } from '../../src/limits.js';
import { NBD_CMD_FLAG_REQ_ONE } from '../../src/nbd/constants.js';
import { clipExtents, cutText, ReplyBatch } from '../../src/nbd/replies.js';
import type { Request } from '../../src/nbd/request.js';

function request(fields: Partial<Request> = {}): Request {
  return {
    command: 0,
    flags: 0,
    cookieHigh: 0x01020304,
    cookieLow: 0x05060708,
    offset: 0,
    lengthBytes: 4,
    ...fields,
  };
}

function data(lengthBytes: number): Extent {
  return { lengthBytes, hole: false, zero: false };
}

function hole(lengthBytes: number): Extent {
  return { lengthBytes, hole: true, zero: true };
}

test('header-only replies of a turn are one piece', () => {
  const batch = new ReplyBatch();
  batch.success(request());
  batch.failure(request(), 'ENOSPC');
  assert.deepEqual(batch.take(), [
    Buffer.from('67446698000000000102030405060708674466980000001c0102030405060708', 'hex'),
  ]);
  assert.deepEqual(batch.take(), []);
});

test('read data is passed on as it is', () => {
  const batch = new ReplyBatch();
  const pieces = [Buffer.from('ab'), Buffer.from('cd')];
  batch.read(request(), payloadOf(pieces));
  batch.success(request());
  const taken = batch.take();
  assert.equal(taken.length, 4);
  assert.equal(taken[1], pieces[0]);
  assert.equal(taken[2], pieces[1]);
});

test('a structured read is one chunk, which is the last', () => {
  const batch = new ReplyBatch();
  batch.structuredRead(request({ offset: 2 ** 32 + 5 }), payloadOf([Buffer.from('abcd')]));
  assert.equal(
    Buffer.concat(batch.take()).toString('hex'),
    '668e33ef000100010102030405060708' + '0000000c' + '0000000100000005' + '61626364',
  );
});

test('a structured failure carries its sentence', () => {
  const batch = new ReplyBatch();
  batch.structuredFailure(request(), 'EIO', 'no');
  assert.equal(
    Buffer.concat(batch.take()).toString('hex'),
    '668e33ef000180010102030405060708' + '00000008' + '000000050002' + '6e6f',
  );
});

test('block status lists its extents behind the context', () => {
  const batch = new ReplyBatch();
  batch.blockStatus(request(), 1, [data(512), hole(1024)]);
  assert.equal(
    Buffer.concat(batch.take()).toString('hex'),
    '668e33ef000100050102030405060708' +
      '00000014' +
      '00000001' +
      '0000020000000000' +
      '0000040000000003',
  );
});

test('a slab that is full is replaced, and what it holds stays', () => {
  const batch = new ReplyBatch();
  const count = (3 * NBD_REPLY_SLAB_BYTES) / 16;
  for (let cookieLow = 0; cookieLow < count; cookieLow++) batch.success(request({ cookieLow }));
  const bytes = Buffer.concat(batch.take());
  const cookies = Array.from({ length: count }, (_, index) => bytes.readUInt32BE(index * 16 + 12));
  assert.deepEqual(
    cookies,
    Array.from({ length: count }, (_, index) => index),
  );
});

for (const [what, extents, wanted, expected] of [
  ['as they are', [data(2), hole(2)], {}, [data(2), hole(2)]],
  ['those past the request left out', [data(4), hole(9)], {}, [data(4)]],
  ['the last may reach past the request', [data(1), hole(9)], {}, [data(1), hole(9)]],
  ['but not past the export', [data(1), hole(200)], {}, [data(1), hole(99)]],
  ['one for REQ_ONE', [data(2), hole(2)], { flags: NBD_CMD_FLAG_REQ_ONE }, [data(2)]],
  ['not past the request for REQ_ONE', [hole(9)], { flags: NBD_CMD_FLAG_REQ_ONE }, [hole(4)]],
  ['at most three', [data(1), hole(1), data(1), hole(1)], {}, [data(1), hole(1), data(1)]],
  ['empty ones left out', [data(0), hole(4)], {}, [hole(4)]],
] as const) {
  test(`extents: ${what}`, () => {
    assert.deepEqual(clipExtents(extents, request(wanted), 100, 3), expected);
  });
}

test('an extent longer than 32 bits hold is cut to whole blocks, and is the last', () => {
  const long = request({ lengthBytes: 2 ** 32 - 512 });
  const clipped = clipExtents([hole(2 ** 40), data(512)], long, 2 ** 41, 3);
  assert.deepEqual(clipped, [hole(2 ** 32 - 65536)]);
});

test('text is cut between characters', () => {
  assert.equal(cutText('aä', 2).toString(), 'a');
  assert.equal(cutText('aä', 3).toString(), 'aä');
});
