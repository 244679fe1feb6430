/**
 * The bytes of a frame before its payload (docs/PROTOCOL.md, "Frames"): the header's length, the
 * header as a msgpack array, and the marker of the payload's msgpack bin. Written by hand, byte
 * for byte as msgpackr packs the same array, which takes 1 us a frame more and leaves garbage.
 */
import { invariant } from '../errors.js';
import { FRAME_HEAD_SLAB_BYTES, FRAME_HEADER_BYTES_MAX } from '../limits.js';

/** Markers of msgpack, each followed by those of 16 and of 32 bits. */
const UINT_8 = 0xcc;
const BIN_8 = 0xc4;

const INTEGER_BYTES_MAX = 9;
/** The header's length, its array's marker, its checksum's marker, and the payload's. */
const MARKERS_BYTES_MAX = 1 + 1 + 2 + 5;

/** Heads are cut from it; what was cut is never written again. */
let slab = Buffer.allocUnsafeSlow(FRAME_HEAD_SLAB_BYTES);
let end = 0;

/**
 * A frame's head: its header's integers, of which there are fewer than 15, and the checksum, where
 * its kind has one; both from 0 to what fits a header. Whoever gets it may keep it, unchanged.
 */
export function writeHead(
  integers: readonly number[],
  checksum: Uint8Array | undefined,
  payloadBytes: number,
): Buffer {
  const checksumBytes = checksum?.length ?? 0;
  reserve(MARKERS_BYTES_MAX + integers.length * INTEGER_BYTES_MAX + checksumBytes);
  const start = end;
  let at = start + 1;
  slab[at++] = 0x90 | (integers.length + (checksum === undefined ? 0 : 1));
  for (const integer of integers) at = writeInteger(slab, at, integer);
  if (checksum !== undefined) {
    slab[at++] = BIN_8;
    slab[at++] = checksumBytes;
    slab.set(checksum, at);
    at += checksumBytes;
  }
  const headerBytes = at - start - 1;
  invariant(headerBytes <= FRAME_HEADER_BYTES_MAX, `a header of ${headerBytes} bytes`);
  slab[start] = headerBytes;
  if (payloadBytes > 0) at = writeBinMarker(slab, at, payloadBytes);
  end = at;
  return slab.subarray(start, end);
}

function reserve(lengthBytes: number): void {
  if (end + lengthBytes <= slab.length) return;
  slab = Buffer.allocUnsafeSlow(FRAME_HEAD_SLAB_BYTES);
  end = 0;
}

/** The shortest msgpack integer, or a float 64 above 32 bits; returns where it ends. */
function writeInteger(target: Buffer, at: number, value: number): number {
  if (value < 0x80) {
    target[at] = value;
    return at + 1;
  }
  if (value <= 0xffffffff) return writeSized(target, at, UINT_8, value);
  target[at] = 0xcb;
  return target.writeDoubleBE(value, at + 1);
}

/** The marker of a msgpack bin 8, bin 16 or bin 32, the shortest that holds the length. */
function writeBinMarker(target: Buffer, at: number, lengthBytes: number): number {
  return writeSized(target, at, BIN_8, lengthBytes);
}

/** The marker of 8 bits, or those of 16 or 32 that follow it, and the value, up to 32 bits. */
function writeSized(target: Buffer, at: number, marker: number, value: number): number {
  if (value < 0x100) {
    target[at] = marker;
    target[at + 1] = value;
    return at + 2;
  }
  if (value < 0x10000) {
    target[at] = marker + 1;
    return target.writeUInt16BE(value, at + 1);
  }
  target[at] = marker + 2;
  return target.writeUInt32BE(value, at + 1);
}
