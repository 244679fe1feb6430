import fc from 'fast-check';
import { DEVICE_BYTES_MAX } from '../../src/limits.js';
import type { ControlFrame, Frame, ReplyFrame, RequestFrame } from '../../src/protocol/frame.js';
import { NO_PIECES } from '../../src/protocol/frame.js';
import { FLAGS_ALLOWED, KIND } from '../../src/protocol/kinds.js';

const PAYLOAD_BYTES_MAX = 2000;

const id = fc.maxSafeNat();
const position = fc.maxSafeNat().map((value) => Math.min(value, DEVICE_BYTES_MAX));
const checksum = fc.constantFrom(0, 4, 16, 32, 64).chain((lengthBytes) => bytes(lengthBytes));
const payload = fc
  .oneof(fc.nat(40), fc.constantFrom(255, 256, 511, 512, 513), fc.nat(PAYLOAD_BYTES_MAX))
  .chain((lengthBytes) => bytes(lengthBytes));

function bytes(lengthBytes: number): fc.Arbitrary<Buffer> {
  return fc
    .uint8Array({ minLength: lengthBytes, maxLength: lengthBytes })
    .map((values) => Buffer.from(values));
}

/** Any request that the protocol allows. */
export const requestFrame: fc.Arbitrary<RequestFrame> = fc
  .record({
    kind: fc.constantFrom(
      KIND.read,
      KIND.write,
      KIND.flush,
      KIND.trim,
      KIND.writeZeroes,
      KIND.blockStatus,
      KIND.cache,
      KIND.hash,
    ),
    transaction: id,
    flags: fc.nat(0xff),
    retired: id,
    offset: position,
    lengthBytes: position,
    checksum,
    data: payload,
  })
  .map(({ data, ...request }) => {
    const flags = request.flags & (FLAGS_ALLOWED[request.kind] ?? 0);
    if (request.kind !== KIND.write) return { ...request, flags, payload: NO_PIECES };
    return { ...request, flags, lengthBytes: data.length, payload: [data] };
  });

/** Any reply that the protocol allows. */
export const replyFrame: fc.Arbitrary<ReplyFrame> = fc
  .record({
    kind: fc.constantFrom(KIND.done, KIND.data, KIND.extents, KIND.failed),
    transaction: id,
    errno: fc.nat(0xffff),
    checksum,
    data: payload,
  })
  .map(({ data, ...reply }) => {
    if (reply.kind === KIND.done) return { ...reply, payload: NO_PIECES, payloadBytes: 0 };
    return { ...reply, payload: [data], payloadBytes: data.length };
  });

// "__proto__" is no key that msgpackr keeps, and -0 and 0 are one integer.
const key = fc.string({ unit: 'grapheme' }).filter((text) => !text.startsWith('__proto_'));
const scalar = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.boolean(),
  fc.constant(null),
  fc.maxSafeInteger().map((value) => value + 0),
  fc.nat(40).chain((lengthBytes) => bytes(lengthBytes)),
);
const value = fc.oneof(
  scalar,
  fc.array(scalar, { maxLength: 20 }),
  fc.dictionary(key, scalar, { maxKeys: 5, noNullPrototype: true }),
);

/** Any control frame that the protocol allows, with keys that no version knows. */
export const controlFrame: fc.Arbitrary<ControlFrame> = fc.record(
  {
    kind: fc.constantFrom(
      KIND.hello,
      KIND.welcome,
      KIND.refused,
      KIND.ping,
      KIND.pong,
      KIND.notice,
      KIND.leave,
      KIND.challenge,
      KIND.proof,
    ),
    sequence: id,
    body: fc.dictionary(key, value, { maxKeys: 10, noNullPrototype: true }),
  },
  { noNullPrototype: true },
);

export const anyFrame: fc.Arbitrary<Frame> = fc.oneof(requestFrame, replyFrame, controlFrame);
