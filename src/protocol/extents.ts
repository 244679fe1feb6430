import type { Extent } from '../block/device.js';
import { DEVICE_BYTES_MAX, EXTENTS_PER_REPLY_MAX } from '../limits.js';
import { encodeBody } from './encode.js';
import { decodeBody, protocolError } from './header.js';

const HOLE = 1;
const ZERO = 2;

/**
 * The body of an extents reply (docs/PROTOCOL.md, "extents"): a flat msgpack array of
 * length and state, in turns, contiguous from the offset that was asked about.
 */
export function encodeExtents(extents: readonly Extent[]): Buffer {
  const flat: number[] = [];
  for (const extent of extents.slice(0, EXTENTS_PER_REPLY_MAX)) {
    flat.push(extent.lengthBytes, (extent.hole ? HOLE : 0) | (extent.zero ? ZERO : 0));
  }
  return encodeBody(flat);
}

/** Reads what `encodeExtents` wrote. Throws DST_E_PROTOCOL on anything else. */
export function decodeExtents(bytes: Buffer): Extent[] {
  const flat = decodeBody(bytes);
  if (!Array.isArray(flat) || flat.length % 2 !== 0 || flat.length === 0) {
    throw protocolError('extents that are not pairs');
  }
  if (flat.length > 2 * EXTENTS_PER_REPLY_MAX) throw protocolError('too many extents');
  const extents: Extent[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const lengthBytes: unknown = flat[i];
    const state: unknown = flat[i + 1];
    if (!isCount(lengthBytes) || lengthBytes === 0 || !isCount(state) || state > (HOLE | ZERO)) {
      throw protocolError('an extent out of range');
    }
    extents.push({ lengthBytes, hole: (state & HOLE) !== 0, zero: (state & ZERO) !== 0 });
  }
  return extents;
}

function isCount(value: unknown): value is number {
  return (
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= DEVICE_BYTES_MAX
  );
}
