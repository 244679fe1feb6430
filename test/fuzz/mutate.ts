/**
 * Mutations of valid frames, drawn from a seed. A frame is changed as what it says (its header's
 * elements, the keys of its body), and as bytes after that, so that most of what comes out gets
 * past the first look and is wrong somewhere deeper.
 */
import { Packr } from 'msgpackr/pack';
import type { Random } from '../simulation/random.js';

const packr = new Packr({ useRecords: false, variableMapSize: true });

/** A frame that may say anything. */
export interface LooseFrame {
  header: unknown[];
  /** A map of a control frame, or the data of a request or reply. */
  body: Record<string, unknown> | Buffer | undefined;
}

/** Arrays within each other: deeper than any decoder that calls itself would survive. */
const NESTED_DEPTH = 20_000;
const LONG_TEXT_BYTES = 20_000;
const SLICE_BYTES_MAX = 64;

/** The place of the payload's length in every header. */
const PAYLOAD_LENGTH_INDEX = 3;

/** Values where none of the kind is expected; each is made anew, as some are large. */
const STRANGE: readonly [() => unknown, ...(() => unknown)[]] = [
  () => 0,
  () => 1,
  () => -1,
  () => 0.5,
  () => 127,
  () => 2 ** 16,
  () => 2 ** 31,
  () => 2 ** 32 - 1,
  () => 2 ** 32,
  () => Number.MAX_SAFE_INTEGER,
  () => 2 ** 53,
  () => 1e300,
  () => Number.NaN,
  () => Number.POSITIVE_INFINITY,
  () => -(2n ** 63n),
  () => 2n ** 64n - 1n,
  () => '',
  () => 'DST_E_PROTOCOL',
  () => '\u0000\u001b[31m\r\n',
  () => 'x'.repeat(LONG_TEXT_BYTES),
  () => null,
  () => true,
  () => false,
  () => [],
  () => ({}),
  () => Buffer.alloc(0),
  () => Buffer.alloc(16),
  () => Buffer.alloc(32, 0xff),
  () => Buffer.alloc(LONG_TEXT_BYTES),
  () => Array.from({ length: 1000 }, () => 'blake3'),
  () => JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1, "toString": 2}'),
  () => new Date(0),
  () => new Map([['a', new Map([['b', 1]])]]),
];

export function strange(random: Random): unknown {
  return random.pick(STRANGE)();
}

/** A frame on the wire, whatever it says; `lieBytes` is added to the payload's length. */
export function encodeLoose({ header, body }: LooseFrame, lieBytes = 0): Buffer {
  const payload = body === undefined || Buffer.isBuffer(body) ? body : packr.pack(body);
  const elements = [...header];
  if (payload !== undefined && typeof elements[PAYLOAD_LENGTH_INDEX] === 'number') {
    elements[PAYLOAD_LENGTH_INDEX] = Math.max(0, payload.length + lieBytes);
  }
  const head = packr.pack(elements);
  const parts = [Buffer.from([head.length & 0xff]), head];
  if (payload !== undefined) parts.push(binMarker(payload.length), payload);
  return Buffer.concat(parts);
}

function binMarker(lengthBytes: number): Buffer {
  const marker = Buffer.alloc(5);
  marker[0] = 0xc6;
  marker.writeUInt32BE(lengthBytes, 1);
  return marker;
}

/** The frame, with what it says changed in one place. */
export function mutateFrame(frame: LooseFrame, random: Random): LooseFrame {
  const header = [...frame.header];
  const body =
    frame.body === undefined || Buffer.isBuffer(frame.body) ? frame.body : { ...frame.body };
  const keys = body === undefined || Buffer.isBuffer(body) ? [] : Object.keys(body);
  const key = keys[random.below(keys.length)];
  if (key !== undefined && !Buffer.isBuffer(body) && body !== undefined && random.chance(0.7)) {
    const how = random.next();
    if (how < 0.2) delete body[key];
    else if (how < 0.4) body[`${key} of mine`] = strange(random);
    else body[key] = strange(random);
  } else {
    const how = random.next();
    if (how < 0.1) header.push(strange(random));
    else if (how < 0.2) header.pop();
    else header[random.below(header.length)] = strange(random);
  }
  return { header, body };
}

type ByteMutation = (bytes: Buffer, random: Random) => Buffer;

const flipBits: ByteMutation = (bytes, random) => {
  const copy = Buffer.from(bytes);
  for (let count = 1 + random.below(4); count > 0; count--) {
    const at = random.below(copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
  }
  return copy;
};

/** Most of what matters is at the beginning. */
const flipInHeader: ByteMutation = (bytes, random) => {
  const copy = Buffer.from(bytes);
  const at = random.below(Math.min(copy.length, 24));
  copy[at] = random.below(256);
  return copy;
};

const cut: ByteMutation = (bytes, random) => bytes.subarray(0, random.below(bytes.length));

const cutOut: ByteMutation = (bytes, random) => {
  const at = random.below(bytes.length);
  const end = at + 1 + random.below(SLICE_BYTES_MAX);
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
};

const repeatSlice: ByteMutation = (bytes, random) => {
  const at = random.below(bytes.length);
  const end = Math.min(bytes.length, at + 1 + random.below(SLICE_BYTES_MAX));
  const slice = bytes.subarray(at, end);
  return Buffer.concat([bytes.subarray(0, end), slice, slice, bytes.subarray(end)]);
};

const insertNoise: ByteMutation = (bytes, random) => {
  const at = random.below(bytes.length + 1);
  const length = 1 + random.below(SLICE_BYTES_MAX);
  const noise = Buffer.from(Array.from({ length }, () => random.below(256)));
  return Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)]);
};

/** A bin whose length, or an array whose depth, is as large as its type can say. */
const insertTrap: ByteMutation = (bytes, random) => {
  const at = random.below(bytes.length + 1);
  const trap = random.pick([
    Buffer.from([0xc6, 0xff, 0xff, 0xff, 0xff]),
    Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]),
    Buffer.from([0xdf, 0x7f, 0xff, 0xff, 0xff]),
    Buffer.from([0xc9, 0xff, 0xff, 0xff, 0xff, 0x01]),
    Buffer.from([0xd4, 0x72, 0x40]),
    Buffer.alloc(NESTED_DEPTH, 0x91),
  ]);
  return Buffer.concat([bytes.subarray(0, at), trap, bytes.subarray(at)]);
};

const BYTE_MUTATIONS: readonly [ByteMutation, ...ByteMutation[]] = [
  flipBits,
  flipInHeader,
  cut,
  cutOut,
  repeatSlice,
  insertNoise,
  insertTrap,
];

export function mutateBytes(bytes: Buffer, random: Random): Buffer {
  return bytes.length === 0 ? bytes : random.pick(BYTE_MUTATIONS)(bytes, random);
}

/** The beginning of one and the end of another. */
export function splice(one: Buffer, other: Buffer, random: Random): Buffer {
  const head = one.subarray(0, random.below(one.length + 1));
  return Buffer.concat([head, other.subarray(random.below(other.length + 1))]);
}

/** A frame as it is sent: changed in none, one or several of its places. */
export function mutated(frame: LooseFrame, random: Random): Buffer {
  let changed = frame;
  while (random.chance(0.5)) changed = mutateFrame(changed, random);
  const lieBytes = random.chance(0.1) ? random.pick([-1, 1, 2 ** 20, 2 ** 31]) : 0;
  let bytes = encodeLoose(changed, lieBytes);
  while (random.chance(0.4)) bytes = mutateBytes(bytes, random);
  return bytes;
}

/** Cuts bytes anywhere, into a few pieces; now and then into single bytes. */
export function pieces(bytes: Buffer, random: Random): Buffer[] {
  if (bytes.length <= 1 || random.chance(0.5)) return [bytes];
  if (bytes.length < 300 && random.chance(0.1)) {
    return Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  }
  const at = 1 + random.below(bytes.length - 1);
  return [bytes.subarray(0, at), ...pieces(bytes.subarray(at), random)];
}
