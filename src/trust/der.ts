import { DstError } from '../errors.js';

/** Identifier octets of the ASN.1 types that are read here (X.690, 8.1.2). */
export const DER_TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OBJECT_IDENTIFIER: 0x06,
  SEQUENCE: 0x30,
} as const;

/** The identifier octet of a constructed, context-specific element, such as `[3]`. */
export function contextTag(number: number): number {
  return 0xa0 | number;
}

export interface DerElement {
  /** The identifier octet: class, form and number at once. */
  readonly tag: number;
  readonly content: Buffer;
  /** Identifier, length and content. */
  readonly encoded: Buffer;
}

const LENGTH_OCTETS_MAX = 4;

/**
 * The elements that lie side by side in `bytes` and fill it exactly, as views into it.
 *
 * Strict DER (X.690, 10.1): definite lengths in their shortest form. Tag numbers above 30
 * are not understood. Anything else is a `DST_E_DER`.
 */
export function readElements(bytes: Buffer): DerElement[] {
  const elements: DerElement[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const element = readElement(bytes, offset);
    elements.push(element);
    offset += element.encoded.length;
  }
  return elements;
}

/** The elements within `bytes`, which must be one constructed element with this tag. */
export function readConstructed(bytes: Buffer, tag: number): DerElement[] {
  return readElements(onlyElement(bytes, tag).content);
}

/** The one element with this tag that fills `bytes`. */
export function onlyElement(bytes: Buffer, tag: number): DerElement {
  const [element, ...rest] = readElements(bytes);
  if (rest.length > 0) throw malformed('has more elements than one');
  return expectTag(element, tag);
}

/** The element itself, once it is known to be there and to have this tag. */
export function expectTag(element: DerElement | undefined, tag: number): DerElement {
  if (element?.tag !== tag) {
    throw malformed(`has ${element?.tag ?? 'nothing'} where an element ${tag} belongs`);
  }
  return element;
}

/** The value of a non-negative INTEGER that fits in 31 bits. */
export function readSmallInteger(element: DerElement | undefined): number {
  const { content } = expectTag(element, DER_TAG.INTEGER);
  if (content.length < 1 || content.length > 4) throw malformed('has an integer of odd length');
  const value = content.readIntBE(0, content.length);
  if (value < 0) throw malformed('has a negative integer');
  return value;
}

/** The dotted form of an OBJECT IDENTIFIER (X.690, 8.19). */
export function readObjectIdentifier(element: DerElement | undefined): string {
  const { content } = expectTag(element, DER_TAG.OBJECT_IDENTIFIER);
  const arcs: number[] = [];
  let arc = 0;
  for (const octet of content) {
    arc = arc * 128 + (octet & 0x7f);
    if (!Number.isSafeInteger(arc)) throw malformed('has an object identifier out of range');
    if (octet & 0x80) continue;
    if (arcs.length === 0) {
      const first = Math.min(2, Math.floor(arc / 40));
      arcs.push(first, arc - first * 40);
    } else {
      arcs.push(arc);
    }
    arc = 0;
  }
  if (arcs.length === 0 || arc !== 0) throw malformed('has an unfinished object identifier');
  return arcs.join('.');
}

function readElement(bytes: Buffer, offset: number): DerElement {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw malformed('ends within an element');
  if ((tag & 0x1f) === 0x1f) throw malformed('has a tag number above 30');
  const { lengthOctets, lengthBytes } = readLength(bytes, offset + 2, first);
  const start = offset + 2 + lengthOctets;
  const end = start + lengthBytes;
  if (end > bytes.length) throw malformed('ends within an element');
  return { tag, content: bytes.subarray(start, end), encoded: bytes.subarray(offset, end) };
}

function readLength(
  bytes: Buffer,
  offset: number,
  first: number,
): { lengthOctets: number; lengthBytes: number } {
  if (first < 0x80) return { lengthOctets: 0, lengthBytes: first };
  const lengthOctets = first & 0x7f;
  if (lengthOctets === 0) throw malformed('has an indefinite length');
  if (lengthOctets > LENGTH_OCTETS_MAX || offset + lengthOctets > bytes.length) {
    throw malformed('has a length out of range');
  }
  const lengthBytes = bytes.readUIntBE(offset, lengthOctets);
  const shortest = lengthBytes < 0x80 ? 0 : Math.ceil((32 - Math.clz32(lengthBytes)) / 8);
  if (lengthOctets !== shortest) throw malformed('has a length that is not in its shortest form');
  return { lengthOctets, lengthBytes };
}

function malformed(what: string): DstError {
  return new DstError('DST_E_DER', `the DER encoding ${what}`);
}
