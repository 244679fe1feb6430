import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameDecoder } from '../../src/protocol/decoder.js';
import { encodeControl, encodeReply, encodeRequest } from '../../src/protocol/encode.js';
import { type Frame, isControl, isRequest, NO_CHECKSUM } from '../../src/protocol/frame.js';
import { protocolError } from '../../src/protocol/header.js';
import { KIND } from '../../src/protocol/kinds.js';
import { decodePieces } from './collect.js';
import { refuses } from './errors.js';

function writeOf(payload: readonly Buffer[]): Buffer[] {
  return encodeRequest({
    kind: KIND.write,
    transaction: 1,
    flags: 0,
    retired: 1,
    offset: 0,
    lengthBytes: payload.reduce((sum, piece) => sum + piece.length, 0),
    checksum: NO_CHECKSUM,
    payload,
  });
}

function payloadOfOnly(frames: readonly Frame[]): readonly Buffer[] {
  const [frame] = frames;
  assert.ok(frames.length === 1 && frame !== undefined && isRequest(frame));
  return frame.payload;
}

test('an encoder passes the pieces of a payload on without a copy', () => {
  const payload = [Buffer.alloc(3, 1), Buffer.alloc(5, 2)];
  assert.deepEqual(writeOf(payload).slice(1), payload);
  assert.ok(
    writeOf(payload)
      .slice(1)
      .every((piece, index) => piece === payload[index]),
  );
});

for (const [lengthBytes, marker] of [
  [255, 'c4ff'],
  [256, 'c50100'],
  [65535, 'c5ffff'],
  [65536, 'c600010000'],
] as const) {
  test(`a payload of ${lengthBytes} bytes has the shortest bin marker`, () => {
    const pieces = writeOf([Buffer.alloc(lengthBytes, 7)]);
    assert.ok(pieces[0]?.toString('hex').endsWith(marker));
    assert.equal(decodePieces(pieces).length, 1);
  });
}

test('a longer bin marker than needed is taken', () => {
  const [head] = writeOf([Buffer.of(9)]);
  const long = Buffer.concat([head?.subarray(0, -2) as Buffer, Buffer.from('c60000000109', 'hex')]);
  assert.deepEqual(payloadOfOnly(decodePieces([long])), [Buffer.of(9)]);
});

test('a payload is handed on as slices of what arrived', () => {
  const chunk = Buffer.concat(writeOf([Buffer.alloc(4096, 7)]));
  const places = [chunk.subarray(0, 1000), chunk.subarray(1000)];
  const payload = payloadOfOnly(decodePieces(places));
  assert.equal(payload.length, 2);
  assert.ok(payload.every((piece) => piece.buffer === chunk.buffer));
  assert.equal(payload[1]?.byteOffset, chunk.byteOffset + 1000);
});

test('a payload that arrives in crumbs is held in one buffer of its own', () => {
  const payload = Buffer.from(Array.from({ length: 4096 }, (_, index) => index % 251));
  const crumbs = Array.from(Buffer.concat(writeOf([payload])), (byte) => Buffer.of(byte));
  const held = payloadOfOnly(decodePieces(crumbs));
  assert.deepEqual(held, [payload]);
});

test('the body of a control frame does not keep what it arrived in', () => {
  const body = { agent: 'a'.repeat(300) };
  const [head, rest] = [0, 100].map((at) => encodeControl(KIND.hello, 0, body).subarray(at)) as [
    Buffer,
    Buffer,
  ];
  const frames: Frame[] = [];
  const decoder = new FrameDecoder(
    () => {},
    (frame) => frames.push(frame),
  );
  const early = Buffer.from(head.subarray(0, 100));
  decoder.push(early);
  // The decoder has a copy, or it would see this.
  early.fill(0);
  decoder.push(rest);
  assert.deepEqual(
    frames.map((frame) => isControl(frame) && frame.body),
    [body],
  );
});

test('a length of zero has no payload to wait for', () => {
  const frames = decodePieces([Buffer.concat(writeOf([]))]);
  assert.deepEqual(payloadOfOnly(frames), []);
});

test('the rule is asked before a byte of the payload is kept', () => {
  const asked: number[] = [];
  const decoder = new FrameDecoder(
    (header) => {
      asked.push(header.payloadBytes);
      throw protocolError('too much');
    },
    () => assert.fail('a refused frame was handed on'),
  );
  const [head] = writeOf([Buffer.alloc(100_000)]);
  refuses(() => decoder.push(head as Buffer), /too much/);
  assert.deepEqual(asked, [100_000]);
});

test('a decoder is idle only between frames', () => {
  const bytes = Buffer.concat(encodeReply(KIND.done, 1));
  const decoder = new FrameDecoder(
    () => {},
    () => {},
  );
  assert.equal(decoder.idle, true);
  decoder.push(bytes.subarray(0, 1));
  assert.equal(decoder.idle, false);
  decoder.push(bytes.subarray(1));
  assert.equal(decoder.idle, true);
});

test('a header length that is no positive fixint, or zero, is refused at its byte', () => {
  for (const first of [0x00, 0x80, 0xcc, 0xff]) {
    refuses(() => decodePieces([Buffer.of(first)]), /header length/);
  }
});

test('a payload that is no bin is refused at its first byte', () => {
  const [head] = writeOf([Buffer.of(9)]);
  const header = head?.subarray(0, -2) as Buffer;
  for (const marker of [0xa1, 0xd9, 0xc7, 0x00]) {
    refuses(() => decodePieces([header, Buffer.of(marker)]), /not a msgpack bin/);
  }
});

test('a payload of another length than the header says is refused', () => {
  const [head] = writeOf([Buffer.of(9)]);
  const header = head?.subarray(0, -2) as Buffer;
  refuses(() => decodePieces([header, Buffer.from('c402', 'hex')]), /whose length/);
});
