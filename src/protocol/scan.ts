/**
 * A look at msgpack bytes before msgpackr builds values from them. msgpackr knows more than
 * the protocol uses: its extensions make records, errors, regular expressions and references,
 * some by compiling code, and it calls itself for each level of nesting. What comes from a
 * peer never gets there.
 */

/** What stands for the end of a value that is cut short, nested too deep or not plain. */
const UNFIT = Number.MAX_SAFE_INTEGER;

/**
 * Whether the bytes are exactly one plain value (docs/PROTOCOL.md, "Values"): no extensions,
 * maps with strings as keys, and at most `depthMax` containers within each other. Costs about
 * as much as reading the bytes once, and allocates nothing.
 */
export function isPlain(bytes: Uint8Array, depthMax: number): boolean {
  return endOfValue(bytes, 0, depthMax) === bytes.length;
}

/** Where the value that begins at `at` ends, or a number past the bytes where it does not. */
function endOfValue(bytes: Uint8Array, at: number, depthLeft: number): number {
  if (at >= bytes.length) return UNFIT;
  const type = bytes[at] as number;
  if (type < 0x80 || type >= 0xe0) return at + 1;
  if (type < 0x90) return endOfMap(bytes, at + 1, type & 0x0f, depthLeft);
  if (type < 0xa0) return endOfArray(bytes, at + 1, type & 0x0f, depthLeft);
  if (type < 0xc0) return at + 1 + (type & 0x1f);
  switch (type) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return at + 1;
    case 0xcc: // uint 8
    case 0xd0: // int 8
      return at + 2;
    case 0xcd: // uint 16
    case 0xd1: // int 16
      return at + 3;
    case 0xca: // float 32
    case 0xce: // uint 32
    case 0xd2: // int 32
      return at + 5;
    case 0xcb: // float 64
    case 0xcf: // uint 64
    case 0xd3: // int 64
      return at + 9;
    case 0xc4: // bin 8
    case 0xd9: // str 8
      return at + 2 + readLength(bytes, at + 1, 1);
    case 0xc5: // bin 16
    case 0xda: // str 16
      return at + 3 + readLength(bytes, at + 1, 2);
    case 0xc6: // bin 32
    case 0xdb: // str 32
      return at + 5 + readLength(bytes, at + 1, 4);
    case 0xdc:
      return endOfArray(bytes, at + 3, readLength(bytes, at + 1, 2), depthLeft);
    case 0xdd:
      return endOfArray(bytes, at + 5, readLength(bytes, at + 1, 4), depthLeft);
    case 0xde:
      return endOfMap(bytes, at + 3, readLength(bytes, at + 1, 2), depthLeft);
    case 0xdf:
      return endOfMap(bytes, at + 5, readLength(bytes, at + 1, 4), depthLeft);
    default:
      return UNFIT;
  }
}

function endOfArray(bytes: Uint8Array, start: number, count: number, depthLeft: number): number {
  // Every element takes a byte at least, so that a count can't make the loop longer than that.
  if (depthLeft === 0 || count > bytes.length - start) return UNFIT;
  let at = start;
  for (let i = 0; i < count; i++) at = endOfValue(bytes, at, depthLeft - 1);
  return at;
}

function endOfMap(bytes: Uint8Array, start: number, count: number, depthLeft: number): number {
  if (depthLeft === 0 || 2 * count > bytes.length - start) return UNFIT;
  let at = start;
  for (let i = 0; i < count; i++) {
    if (!isText(bytes[at])) return UNFIT;
    at = endOfValue(bytes, endOfValue(bytes, at, 0), depthLeft - 1);
  }
  return at;
}

function isText(type: number | undefined): boolean {
  return type !== undefined && ((type >= 0xa0 && type < 0xc0) || (type >= 0xd9 && type <= 0xdb));
}

/** A big-endian length of 1, 2 or 4 bytes; one that is cut short is too long for anything. */
function readLength(bytes: Uint8Array, at: number, widthBytes: number): number {
  if (at + widthBytes > bytes.length) return UNFIT;
  let length = 0;
  for (let i = at; i < at + widthBytes; i++) length = length * 0x100 + (bytes[i] as number);
  return length;
}
