import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DstError } from '../../src/errors.js';
import { FrameDecoder } from '../../src/protocol/decoder.js';
import { decodeHeader, decodeMap, protocolError } from '../../src/protocol/header.js';
import { anyFrame } from './arbitrary.js';
import { decodePieces, joined } from './collect.js';
import { encodeFrame, SAMPLES } from './samples.js';

const TIME_BOX = { interruptAfterTimeLimit: 1_500, numRuns: 300 };
const PAYLOAD_BYTES_MAX = 64 * 1024;

/** What a real receiver's rule does: a payload's size is agreed to before it is kept. */
function refuseLong({ payloadBytes }: { payloadBytes: number }): void {
  if (payloadBytes > PAYLOAD_BYTES_MAX) throw protocolError('a long payload');
}

/** Cuts bytes at places given as shares of their length, in thousandths. */
function cut(bytes: Buffer, thousandths: readonly number[]): Buffer[] {
  const places = thousandths.map((share) => Math.floor((share * bytes.length) / 1000));
  const ends = [...places.sort((a, b) => a - b), bytes.length];
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

/** Whether the bytes decode; anything thrown but DST_E_PROTOCOL fails the test. */
function decodes(decode: () => void): boolean {
  try {
    decode();
    return true;
  } catch (error) {
    assert.ok(error instanceof DstError && error.code === 'DST_E_PROTOCOL', String(error));
    return false;
  }
}

test('frames decode to what was encoded, wherever the stream is cut', () => {
  const cuts = fc.array(fc.nat(1000), { maxLength: 30 });
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 5 }), cuts, (frames, places) => {
      const stream = Buffer.concat(frames.map(encodeFrame));
      const decoded = decodePieces(cut(stream, places));
      assert.deepEqual(decoded.map(joined), frames.map(joined));
    }),
    TIME_BOX,
  );
});

test('frames decode to what was encoded, one byte at a time', () => {
  fc.assert(
    fc.property(anyFrame, (frame) => {
      const crumbs = Array.from(encodeFrame(frame), (byte) => Buffer.of(byte));
      assert.deepEqual(decodePieces(crumbs).map(joined), [joined(frame)]);
    }),
    { ...TIME_BOX, numRuns: 100 },
  );
});

test('a truncated frame is not handed on', () => {
  fc.assert(
    fc.property(anyFrame, fc.nat(999), (frame, share) => {
      const [head] = cut(encodeFrame(frame), [share]);
      assert.deepEqual(decodePieces([head as Buffer]), []);
    }),
    TIME_BOX,
  );
});

test('random bytes decode, or are refused as DST_E_PROTOCOL', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      decodes(() => decodePieces([Buffer.from(bytes)], refuseLong));
    }),
    { ...TIME_BOX, numRuns: 3_000 },
  );
});

test('random bytes as a header or a body decode, or are refused as DST_E_PROTOCOL', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 127 }), (bytes) => {
      decodes(() => decodeHeader(Buffer.from(bytes)));
      decodes(() => decodeMap(Buffer.from(bytes)));
    }),
    { ...TIME_BOX, numRuns: 3_000 },
  );
});

test('a frame with bytes changed decodes, or is refused as DST_E_PROTOCOL', () => {
  const change = fc.record({ at: fc.nat(1000), byte: fc.nat(0xff) });
  const changes = fc.array(change, { minLength: 1, maxLength: 4 });
  const sample = fc.constantFrom(...SAMPLES.map(({ frame }) => encodeFrame(frame)));
  fc.assert(
    fc.property(sample, changes, (bytes, list) => {
      const mutated = Buffer.from(bytes);
      for (const { at, byte } of list) mutated[at % mutated.length] = byte;
      decodes(() => decodePieces([mutated, mutated], refuseLong));
    }),
    { ...TIME_BOX, numRuns: 3_000 },
  );
});

test('once broken, a decoder hands nothing more on', () => {
  const garbage = Buffer.of(0x00);
  fc.assert(
    fc.property(anyFrame, (frame) => {
      let handed = 0;
      const decoder = new FrameDecoder(
        () => {},
        () => handed++,
      );
      assert.ok(!decodes(() => decoder.push(garbage)));
      decoder.push(encodeFrame(frame));
      assert.equal(handed, 0);
    }),
    { ...TIME_BOX, numRuns: 30 },
  );
});
