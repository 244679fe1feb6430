/**
 * Takes a header apart without msgpackr, where it is written as encoders commonly write one: every
 * transaction has two, and msgpackr takes 1 us for each.
 */
import { NO_CHECKSUM } from './frame.js';

/** Stands for a value that is not read here. */
const UNFIT = -1;

/** Where the value that was read last ends. */
let position = 0;

/**
 * The elements of a header that lies in `bytes` from `start` to `end`: integers of up to 32 bits,
 * float 64 numbers of any value, and bins of up to 255 bytes, which are copied. Undefined for
 * everything else, msgpack or not: what that is, or what is wrong with it, is not found out here.
 */
export function quickElements(
  bytes: Buffer,
  start: number,
  end: number,
): (number | Buffer)[] | undefined {
  // The marker of an array of up to 15 elements holds their number.
  const count = (bytes[start] as number) ^ 0x90;
  if (count > 0x0f) return undefined;
  const elements: (number | Buffer)[] = [];
  position = start + 1;
  while (elements.length < count) {
    const element = position < end ? readElement(bytes, position, end) : UNFIT;
    if (element === UNFIT || position > end) return undefined;
    elements.push(element);
  }
  return position === end ? elements : undefined;
}

/** Sets `position`; where that is past the end, what is returned means nothing. */
function readElement(bytes: Buffer, at: number, end: number): number | Buffer {
  const type = bytes[at] as number;
  position = at + 1;
  if (type < 0x80) return type;
  switch (type) {
    case 0xcc: // uint 8
      return readUnsigned(bytes, 1);
    case 0xcd: // uint 16
      return readUnsigned(bytes, 2);
    case 0xce: // uint 32
      return readUnsigned(bytes, 4);
    case 0xcb: // float 64
      position = at + 9;
      return position > end ? UNFIT : bytes.readDoubleBE(at + 1);
    case 0xc4: // bin 8
      position = at + 2 + (bytes[at + 1] ?? 0);
      return position > end ? UNFIT : copyOf(bytes, at + 2, position);
    default:
      return UNFIT;
  }
}

function readUnsigned(bytes: Buffer, widthBytes: number): number {
  const end = position + widthBytes;
  let value = 0;
  for (let at = position; at < end; at++) value = value * 0x100 + (bytes[at] ?? 0);
  position = end;
  return value;
}

/** A view would pin the chunk, of up to 64 KiB, for as long as a checksum is kept. */
function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  if (start === end) return NO_CHECKSUM;
  const copy = Buffer.allocUnsafe(end - start);
  for (let at = start; at < end; at++) copy[at - start] = bytes[at] as number;
  return copy;
}
