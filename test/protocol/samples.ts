/**
 * One frame of each kind, with values that are easy to find in its bytes. The golden fixtures
 * in test/fixtures/frames hold what they are on the wire.
 */
import { type ProofContext, Secret } from '../../src/access/secret.js';
import {
  encodeBody,
  encodeControl,
  encodeReply,
  encodeRequest,
} from '../../src/protocol/encode.js';
import { encodeExtents } from '../../src/protocol/extents.js';
import {
  type ControlFrame,
  type Frame,
  isControl,
  isRequest,
  NO_CHECKSUM,
  NO_PIECES,
  type ReplyFrame,
  type RequestFrame,
} from '../../src/protocol/frame.js';
import { KIND } from '../../src/protocol/kinds.js';
import {
  CAPABILITIES,
  challengeBody,
  type ExportDescription,
  failureBody,
  type Hello,
  helloBody,
  noticeBody,
  proofBody,
  type Welcome,
  welcomeBody,
} from '../../src/protocol/messages.js';

export interface Sample {
  /** Of its file in test/fixtures/frames, without ".hex". */
  readonly name: string;
  /** What the frame says, for the first line of that file. */
  readonly what: string;
  readonly frame: Frame;
}

const KIB = 1024;
const GIB = 2 ** 30;

/** So many bytes, each one above the last. */
export function countUp(first: number, lengthBytes: number): Buffer {
  return Buffer.from(Array.from({ length: lengthBytes }, (_, index) => first + index));
}

export const SAMPLE_PAYLOAD = countUp(0, 16);
/** CRC-32C of SAMPLE_PAYLOAD. */
export const SAMPLE_PAYLOAD_CRC32C = Buffer.from('d9c908eb', 'hex');

export const SAMPLE_EXTENTS = [
  { lengthBytes: 64 * KIB, hole: false, zero: false },
  { lengthBytes: 5 * GIB, hole: true, zero: true },
];
/** CRC-32C of the extents' body. */
export const SAMPLE_EXTENTS_CRC32C = Buffer.from('cf25f65c', 'hex');

export const SAMPLE_HELLO: Hello = {
  version: 1,
  intent: 'attach',
  export: 'vol',
  session: countUp(0x10, 16),
  epoch: 7,
  lane: 0,
  nonce: countUp(0x40, 32),
  checksums: ['blake3', 'crc32c'],
  readOnly: false,
  resuming: true,
  takeover: false,
  pingIntervalMs: 2000,
  agent: 'example/1.0',
};

export const SAMPLE_DESCRIPTION: ExportDescription = {
  name: 'vol',
  sizeBytes: 6 * GIB,
  minimumBlockBytes: 512,
  preferredBlockBytes: 4096,
  readOnly: false,
  capabilities: [...CAPABILITIES],
};

export const SAMPLE_WELCOME: Welcome = {
  version: 1,
  session: SAMPLE_HELLO.session,
  epoch: SAMPLE_HELLO.epoch,
  nonce: countUp(0x80, 32),
  checksum: 'crc32c',
  checksums: ['crc32c', 'none'],
  export: SAMPLE_DESCRIPTION,
  exports: [],
  credit: { transactions: 512, bytes: 32 * KIB * KIB, window: 16384 },
  lanes: 16,
  payloadBytesMax: KIB * KIB,
  verifier: countUp(0xb0, 16),
  agent: 'example/1.0',
};

export const SAMPLE_SECRET = new Secret(Buffer.from('an example, and no secret at all'));

/** What is proved between SAMPLE_HELLO and SAMPLE_PROVEN. */
export const SAMPLE_CONTEXT: ProofContext = {
  clientNonce: SAMPLE_HELLO.nonce,
  exportNonce: SAMPLE_WELCOME.nonce,
  session: SAMPLE_HELLO.session,
  epoch: SAMPLE_HELLO.epoch,
  exportName: SAMPLE_HELLO.export,
  certificateSha256: countUp(0xc0, 32),
};

/** The WELCOME to a client that has proved to hold SAMPLE_SECRET. */
export const SAMPLE_PROVEN: Welcome = {
  ...SAMPLE_WELCOME,
  checksum: 'blake3',
  checksums: ['blake3', 'blake2b'],
  proof: SAMPLE_SECRET.prove('export', SAMPLE_CONTEXT),
};

const SAMPLE_LIST: Welcome = {
  ...SAMPLE_WELCOME,
  export: undefined,
  exports: [SAMPLE_DESCRIPTION, { ...SAMPLE_DESCRIPTION, name: 'backup', capabilities: [] }],
  verifier: Buffer.alloc(16),
};

const FENCED = { code: 'DST_E_FENCED', message: 'a newer connection has taken over' } as const;
const UNKNOWN = {
  code: 'DST_E_EXPORT_UNKNOWN',
  message: 'there is no export named "vol" here',
} as const;
const FULL = { code: 'DST_E_NO_SPACE', message: 'the file system is full' } as const;

function control(
  kind: ControlFrame['kind'],
  body: Readonly<Record<string, unknown>>,
  sequence = 0,
): ControlFrame {
  return { kind, sequence, body };
}

function request(kind: RequestFrame['kind'], fields: Partial<RequestFrame>): RequestFrame {
  return {
    kind,
    transaction: 300,
    flags: 0,
    retired: 290,
    offset: 0,
    lengthBytes: 0,
    checksum: NO_CHECKSUM,
    payload: NO_PIECES,
    ...fields,
  };
}

function reply(
  kind: ReplyFrame['kind'],
  payload?: Buffer,
  fields: Partial<ReplyFrame> = {},
): ReplyFrame {
  return {
    kind,
    transaction: 300,
    errno: 0,
    checksum: NO_CHECKSUM,
    payload: payload === undefined ? NO_PIECES : [payload],
    payloadBytes: payload?.length ?? 0,
    ...fields,
  };
}

export const SAMPLES: readonly Sample[] = [
  {
    name: 'hello',
    what: 'HELLO: attach to "vol" as epoch 7 of a session',
    frame: control(KIND.hello, helloBody(SAMPLE_HELLO)),
  },
  {
    name: 'hello-lane',
    what: 'HELLO of lane 2, which joins that epoch',
    frame: control(KIND.hello, helloBody({ ...SAMPLE_HELLO, lane: 2 })),
  },
  {
    name: 'welcome',
    what: 'WELCOME to "vol", which has 6 GiB',
    frame: control(KIND.welcome, welcomeBody(SAMPLE_WELCOME)),
  },
  {
    name: 'welcome-list',
    what: 'WELCOME to a client that asked what there is: two exports',
    frame: control(KIND.welcome, welcomeBody(SAMPLE_LIST)),
  },
  {
    name: 'welcome-proven',
    what: 'WELCOME to "vol" of an export that holds the secret too',
    frame: control(KIND.welcome, welcomeBody(SAMPLE_PROVEN)),
  },
  {
    name: 'refused',
    what: 'REFUSED: no such export',
    frame: control(KIND.refused, failureBody(UNKNOWN)),
  },
  { name: 'ping', what: 'PING number 9', frame: control(KIND.ping, {}, 9) },
  { name: 'pong', what: 'PONG that answers PING number 9', frame: control(KIND.pong, {}, 9) },
  {
    name: 'notice-resized',
    what: 'NOTICE: the export has 7 GiB from now on',
    frame: control(KIND.notice, noticeBody({ event: 'resized', sizeBytes: 7 * GIB })),
  },
  {
    name: 'notice-going-away',
    what: 'NOTICE: the export is shutting down',
    frame: control(KIND.notice, noticeBody({ event: 'going away' })),
  },
  {
    name: 'notice-lanes',
    what: 'NOTICE: a session may have 4 lanes from now on',
    frame: control(KIND.notice, noticeBody({ event: 'lanes', lanes: 4 })),
  },
  {
    name: 'notice-working',
    what: 'NOTICE: transactions 300 and 302 are in progress still',
    frame: control(KIND.notice, noticeBody({ event: 'working', transactions: [300, 302] })),
  },
  {
    name: 'notice-closing',
    what: 'NOTICE: the connection is closed, as it is fenced',
    frame: control(KIND.notice, noticeBody({ event: 'closing', failure: FENCED })),
  },
  { name: 'leave', what: 'LEAVE', frame: control(KIND.leave, {}) },
  {
    name: 'challenge',
    what: 'CHALLENGE: who holds the secret?',
    frame: control(KIND.challenge, challengeBody({ nonce: SAMPLE_CONTEXT.exportNonce })),
  },
  {
    name: 'proof',
    what: 'PROOF of the client that said HELLO',
    frame: control(KIND.proof, proofBody({ proof: SAMPLE_SECRET.prove('client', SAMPLE_CONTEXT) })),
  },
  {
    name: 'read',
    what: 'READ of 4096 bytes at 5 GiB (an offset above 2^32, as a float 64)',
    frame: request(KIND.read, { offset: 5 * GIB, lengthBytes: 4096 }),
  },
  {
    name: 'write',
    what: 'WRITE of 16 bytes at 1024 with FUA, with a CRC-32C',
    frame: request(KIND.write, {
      flags: 1,
      offset: KIB,
      lengthBytes: SAMPLE_PAYLOAD.length,
      checksum: SAMPLE_PAYLOAD_CRC32C,
      payload: [SAMPLE_PAYLOAD],
    }),
  },
  { name: 'flush', what: 'FLUSH', frame: request(KIND.flush, {}) },
  {
    name: 'trim',
    what: 'TRIM of 64 KiB at 128 KiB',
    frame: request(KIND.trim, { offset: 128 * KIB, lengthBytes: 64 * KIB }),
  },
  {
    name: 'write-zeroes',
    what: 'WRITE ZEROES of 5 GiB at 0 with FUA, NO HOLE and FAST ZERO',
    frame: request(KIND.writeZeroes, { flags: 7, lengthBytes: 5 * GIB }),
  },
  {
    name: 'block-status',
    what: 'BLOCK STATUS of 6 GiB at 0',
    frame: request(KIND.blockStatus, { lengthBytes: 6 * GIB }),
  },
  {
    name: 'cache',
    what: 'CACHE of 1 MiB at 0',
    frame: request(KIND.cache, { lengthBytes: KIB * KIB }),
  },
  {
    name: 'hash',
    what: 'HASH of 1 MiB at 0; the transaction id is above 2^32',
    frame: request(KIND.hash, {
      transaction: 2 ** 32 + 1,
      retired: 2 ** 32,
      lengthBytes: KIB * KIB,
    }),
  },
  { name: 'done', what: 'DONE', frame: reply(KIND.done) },
  {
    name: 'data',
    what: 'DATA: 16 bytes that were read, with a CRC-32C',
    frame: reply(KIND.data, SAMPLE_PAYLOAD, { checksum: SAMPLE_PAYLOAD_CRC32C }),
  },
  {
    name: 'extents',
    what: 'EXTENTS: 64 KiB of data, then a hole of 5 GiB, with a CRC-32C',
    frame: reply(KIND.extents, encodeExtents(SAMPLE_EXTENTS), { checksum: SAMPLE_EXTENTS_CRC32C }),
  },
  {
    name: 'failed',
    what: 'FAILED with ENOSPC (28)',
    frame: reply(KIND.failed, encodeBody(failureBody(FULL)), { errno: 28 }),
  },
];

/** Any frame as its bytes, by the encoder of its family. */
export function encodeFrame(frame: Frame): Buffer {
  if (isRequest(frame)) return Buffer.concat(encodeRequest(frame));
  if (isControl(frame)) {
    const bare = Object.keys(frame.body).length === 0;
    return encodeControl(frame.kind, frame.sequence, bare ? undefined : frame.body);
  }
  return Buffer.concat(encodeReply(frame.kind, frame.transaction, frame));
}
