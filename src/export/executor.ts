import type { Checksum } from '../../wasm/checksums.js';
import type { BlockDevice } from '../block/device.js';
import { type Payload, payloadOf } from '../block/payload.js';
import { DstError, errnoOf } from '../errors.js';
import { FAILURE_BODY_BYTES_MAX } from '../limits.js';
import { encodeBody } from '../protocol/encode.js';
import { encodeExtents } from '../protocol/extents.js';
import type { ReplyKind, RequestFrame } from '../protocol/frame.js';
import { NO_CHECKSUM } from '../protocol/frame.js';
import { FLAG, KIND } from '../protocol/kinds.js';
import { ERRNO_DAMAGED, errnoValue, failureBody } from '../protocol/messages.js';

/** The end of a request, ready to be encoded. The payload is released once it was sent. */
export interface Answer {
  readonly kind: ReplyKind;
  /** NBD errno, or ERRNO_DAMAGED; 0 for success. */
  readonly errno: number;
  readonly checksum: Buffer;
  readonly payload: Payload | undefined;
}

const DONE: Answer = { kind: KIND.done, errno: 0, checksum: NO_CHECKSUM, payload: undefined };

/** Whether a request changes the device, and so must be carried out exactly once. */
export function changes(request: RequestFrame): boolean {
  return (
    request.kind === KIND.write || request.kind === KIND.trim || request.kind === KIND.writeZeroes
  );
}

/**
 * Whether the payload of a request came as it was sent; true of those that have none. A promise,
 * which never rejects, where another thread finds out.
 */
export function isIntact(request: RequestFrame, checksum: Checksum): boolean | Promise<boolean> {
  if (request.kind !== KIND.write) return true;
  const { payload, checksum: expected } = request;
  return checksum.matchesOffThread(payload, expected) ?? checksum.matches(payload, expected);
}

/**
 * Carries a request, whose payload is intact, out on a device. Never rejects: what the device
 * refuses is an answer of kind "failed" with its errno.
 */
export async function execute(
  device: BlockDevice,
  request: RequestFrame,
  checksum: Checksum,
): Promise<Answer> {
  try {
    return await dispatch(device, request, checksum);
  } catch (error) {
    if (!(error instanceof DstError)) throw error;
    return failed(error, errnoValue(errnoOf(error)));
  }
}

/** The answer that stands for an error. */
export function failed(error: DstError, errno: number): Answer {
  const message = error.message.slice(0, FAILURE_BODY_BYTES_MAX / 4);
  const body = encodeBody(failureBody({ code: error.code, message }));
  return {
    kind: KIND.failed,
    errno,
    checksum: NO_CHECKSUM,
    payload: payloadOf([Buffer.from(body)]),
  };
}

async function dispatch(
  device: BlockDevice,
  request: RequestFrame,
  checksum: Checksum,
): Promise<Answer> {
  const { offset, lengthBytes } = request;
  const fua = (request.flags & FLAG.fua) !== 0;
  switch (request.kind) {
    case KIND.read:
      return withData(KIND.data, await device.read(offset, lengthBytes), checksum);
    case KIND.write:
      await device.write(offset, payloadOf(request.payload), { fua });
      return DONE;
    case KIND.flush:
      await device.flush();
      return DONE;
    case KIND.trim:
      await device.trim(offset, lengthBytes, { fua });
      return DONE;
    case KIND.writeZeroes:
      await device.writeZeroes(offset, lengthBytes, {
        fua,
        noHole: (request.flags & FLAG.noHole) !== 0,
        fastZero: (request.flags & FLAG.fastZero) !== 0,
      });
      return DONE;
    case KIND.blockStatus: {
      const extents = await device.blockStatus(offset, lengthBytes);
      return withData(KIND.extents, payloadOf([encodeExtents(extents)]), checksum);
    }
    case KIND.cache:
      await device.cache(offset, lengthBytes);
      return DONE;
    case KIND.hash: {
      const data = await device.read(offset, lengthBytes);
      const digest = await digestOf(data, checksum);
      data.release();
      return withData(KIND.data, payloadOf([digest]), checksum);
    }
  }
}

function withData(
  kind: typeof KIND.data | typeof KIND.extents,
  payload: Payload,
  checksum: Checksum,
): Answer | Promise<Answer> {
  const answer = (digest: Buffer): Answer => ({ kind, errno: 0, checksum: digest, payload });
  const digest = digestOf(payload, checksum);
  return digest instanceof Promise ? digest.then(answer) : answer(digest);
}

/** A promise, which never rejects, where another thread computes it. */
function digestOf({ pieces }: Payload, checksum: Checksum): Buffer | Promise<Buffer> {
  return checksum.digestOffThread(pieces) ?? checksum.digest(pieces);
}

/** The answer to a request whose payload is not intact. */
export function damaged(request: RequestFrame): Answer {
  return failed(
    new DstError(
      'DST_E_DAMAGED',
      `the payload of transaction ${request.transaction} did not match its checksum`,
    ),
    ERRNO_DAMAGED,
  );
}
