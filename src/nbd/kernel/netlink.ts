import { endianness } from 'node:os';
import { invariant } from '../../errors.js';

/**
 * Messages of netlink(7) and of its family for everybody, generic netlink: encoding and
 * decoding, no I/O. Numbers are in the machine's own byte order, and everything begins at a
 * multiple of 4 bytes.
 *
 * ```
 *   length u32 | type u16 | flags u16 | sequence u32 | port u32    16 bytes, of netlink
 *   command u8 | version u8 | unused u16                           4 bytes, of generic netlink
 *   attributes: (length u16 | type u16 | value | padding)*
 * ```
 */
const HEADER_BYTES = 16;
const GENERIC_HEADER_BYTES = 4;
const ATTRIBUTE_HEADER_BYTES = 4;
const ALIGNMENT_BYTES = 4;

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;

const NLMSG_NOOP = 1;
/** Also what acknowledges a request: an error with the number 0. */
const NLMSG_ERROR = 2;
/** Types from here on are families of generic netlink. */
const NLMSG_MIN_TYPE = 0x10;

const NLA_F_NESTED = 0x8000;
/** Of an attribute's type, without the two flags above it. */
const NLA_TYPE_MASK = 0x3fff;

const LITTLE_ENDIAN = endianness() === 'LE';

export interface Attribute {
  readonly type: number;
  /** Without its padding. */
  readonly value: Buffer;
  /** The value is itself a row of attributes. Only told to the kernel, never read. */
  readonly nested?: boolean;
}

export interface Request {
  /** The number of the family, as the kernel's controller names it. */
  readonly family: number;
  readonly command: number;
  readonly version: number;
  readonly attributes: readonly Attribute[];
}

/** `errno` is 0 where the kernel did what it was asked. */
export type Answer =
  | { readonly kind: 'end'; readonly sequence: number; readonly errno: number }
  | {
      readonly kind: 'message';
      readonly sequence: number;
      readonly command: number;
      readonly attributes: readonly Attribute[];
    };

/** An attribute of the type NLA_U32. */
export function u32Attribute(type: number, value: number): Attribute {
  const bytes = Buffer.alloc(4);
  view(bytes).setUint32(0, value, LITTLE_ENDIAN);
  return { type, value: bytes };
}

/** An attribute of the type NLA_U64, of a whole number up to 2^53. */
export function u64Attribute(type: number, value: number): Attribute {
  const bytes = Buffer.alloc(8);
  view(bytes).setBigUint64(0, BigInt(value), LITTLE_ENDIAN);
  return { type, value: bytes };
}

/** An attribute of the type NLA_STRING or NLA_NUL_STRING. */
export function textAttribute(type: number, text: string): Attribute {
  return { type, value: Buffer.from(`${text}\0`) };
}

/** An attribute of the type NLA_NESTED. */
export function nestedAttribute(type: number, attributes: readonly Attribute[]): Attribute {
  return { type, value: encodeAttributes(attributes), nested: true };
}

/** The number in an attribute of the type NLA_U8, NLA_U16 or NLA_U32, by its length. */
export function numberOf(attribute: Attribute): number {
  const { value } = attribute;
  if (value.length === 1) return view(value).getUint8(0);
  if (value.length === 2) return view(value).getUint16(0, LITTLE_ENDIAN);
  invariant(value.length === 4, `attribute ${attribute.type} holds a number`);
  return view(value).getUint32(0, LITTLE_ENDIAN);
}

/** The first attribute of that type. */
export function findAttribute(
  attributes: readonly Attribute[],
  type: number,
): Attribute | undefined {
  return attributes.find((attribute) => attribute.type === type);
}

/** A message that asks for an answer and for an acknowledgement, which comes last. */
export function encodeRequest(request: Request, sequence: number): Buffer {
  const attributes = encodeAttributes(request.attributes);
  const lengthBytes = HEADER_BYTES + GENERIC_HEADER_BYTES + attributes.length;
  const head = Buffer.alloc(HEADER_BYTES + GENERIC_HEADER_BYTES);
  const fields = view(head);
  fields.setUint32(0, lengthBytes, LITTLE_ENDIAN);
  fields.setUint16(4, request.family, LITTLE_ENDIAN);
  fields.setUint16(6, NLM_F_REQUEST | NLM_F_ACK, LITTLE_ENDIAN);
  fields.setUint32(8, sequence, LITTLE_ENDIAN);
  fields.setUint8(HEADER_BYTES, request.command);
  fields.setUint8(HEADER_BYTES + 1, request.version);
  return Buffer.concat([head, attributes]);
}

/** The answers in one datagram of the kernel's. Throws at one that makes no sense. */
export function decodeAnswers(datagram: Buffer): Answer[] {
  const answers: Answer[] = [];
  let rest = datagram;
  while (rest.length > 0) {
    invariant(rest.length >= HEADER_BYTES, 'a netlink message has a whole header');
    const fields = view(rest);
    const lengthBytes = fields.getUint32(0, LITTLE_ENDIAN);
    invariant(
      lengthBytes >= HEADER_BYTES && lengthBytes <= rest.length,
      'a netlink message fits into its datagram',
    );
    const answer = decodeAnswer(
      fields.getUint16(4, LITTLE_ENDIAN),
      fields.getUint32(8, LITTLE_ENDIAN),
      rest.subarray(HEADER_BYTES, lengthBytes),
    );
    if (answer !== undefined) answers.push(answer);
    rest = rest.subarray(aligned(lengthBytes));
  }
  return answers;
}

function decodeAnswer(type: number, sequence: number, body: Buffer): Answer | undefined {
  if (type === NLMSG_NOOP) return undefined;
  if (type === NLMSG_ERROR) {
    invariant(body.length >= 4, 'a netlink error has a number');
    // Abs, not a sign: -0 is not what an acknowledgement should be compared as.
    return { kind: 'end', sequence, errno: Math.abs(view(body).getInt32(0, LITTLE_ENDIAN)) };
  }
  invariant(type >= NLMSG_MIN_TYPE, `a netlink message of the type ${type} was asked for`);
  invariant(body.length >= GENERIC_HEADER_BYTES, 'a generic netlink message has a whole header');
  return {
    kind: 'message',
    sequence,
    command: view(body).getUint8(0),
    attributes: decodeAttributes(body.subarray(GENERIC_HEADER_BYTES)),
  };
}

/** The attributes in a message, or in the value of a nested one. Throws where they overrun it. */
export function decodeAttributes(bytes: Buffer): Attribute[] {
  const attributes: Attribute[] = [];
  let rest = bytes;
  while (rest.length > 0) {
    invariant(rest.length >= ATTRIBUTE_HEADER_BYTES, 'an attribute has a whole header');
    const fields = view(rest);
    const lengthBytes = fields.getUint16(0, LITTLE_ENDIAN);
    invariant(
      lengthBytes >= ATTRIBUTE_HEADER_BYTES && lengthBytes <= rest.length,
      'an attribute fits into its message',
    );
    attributes.push({
      type: fields.getUint16(2, LITTLE_ENDIAN) & NLA_TYPE_MASK,
      value: rest.subarray(ATTRIBUTE_HEADER_BYTES, lengthBytes),
    });
    rest = rest.subarray(aligned(lengthBytes));
  }
  return attributes;
}

function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  return Buffer.concat(attributes.map(encodeAttribute));
}

function encodeAttribute({ type, value, nested }: Attribute): Buffer {
  const lengthBytes = ATTRIBUTE_HEADER_BYTES + value.length;
  const bytes = Buffer.alloc(aligned(lengthBytes));
  const fields = view(bytes);
  fields.setUint16(0, lengthBytes, LITTLE_ENDIAN);
  fields.setUint16(2, nested ? type | NLA_F_NESTED : type, LITTLE_ENDIAN);
  value.copy(bytes, ATTRIBUTE_HEADER_BYTES);
  return bytes;
}

function aligned(lengthBytes: number): number {
  return Math.ceil(lengthBytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}

function view(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
