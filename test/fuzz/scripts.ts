/** What attackers send, before it is changed. */
import type { Secret } from '../../src/access/secret.js';
import { NO_CHECKSUM, NO_PIECES, type RequestFrame } from '../../src/protocol/frame.js';
import { FLAGS_ALLOWED, KIND, PROTOCOL_VERSION } from '../../src/protocol/kinds.js';
import { type Hello, helloBody, NONCE_BYTES, readHello } from '../../src/protocol/messages.js';
import type { Checksum } from '../../wasm/checksums.js';
import type { Random } from '../simulation/random.js';
import { loosely } from './loose.js';
import type { LooseFrame } from './mutate.js';

/** The only byte that attackers write: whatever else is on the device came damaged. */
export const ATTACK_BYTE = 0xa5;

type HelloBody = Readonly<Record<string, unknown>>;

const PAYLOAD_BYTES_MAX = 2048;
const OFFSET_MAX = 1 << 20;

const REQUESTS = [
  KIND.read,
  KIND.write,
  KIND.write,
  KIND.flush,
  KIND.trim,
  KIND.writeZeroes,
  KIND.blockStatus,
  KIND.cache,
  KIND.hash,
] as const;

export const PING: LooseFrame = { header: [KIND.ping, 1, 0, 0], body: undefined };
export const LEAVE: LooseFrame = { header: [KIND.leave, 0, 0, 0], body: undefined };

/** A HELLO that an export would welcome. */
export function hello(random: Random, changes: Partial<Hello> = {}): LooseFrame {
  const body = helloBody({
    version: PROTOCOL_VERSION,
    intent: random.pick(['attach', 'attach', 'info', 'list']),
    export: 'vol',
    session: Buffer.alloc(16, random.below(3)),
    epoch: random.below(8),
    lane: random.pick([0, 0, 0, 1, 2]),
    nonce: Buffer.alloc(NONCE_BYTES, random.below(256)),
    checksums: ['crc32c'],
    readOnly: random.chance(0.2),
    resuming: random.chance(0.3),
    takeover: random.chance(0.2),
    pingIntervalMs: 1 + random.below(10_000),
    agent: 'fuzz',
    ...changes,
  });
  return { header: [KIND.hello, 0, 0, 0], body };
}

/** The PROOF of whoever holds the secret and said that HELLO. */
export function proofOf(secret: Secret, said: LooseFrame, exportNonce: Buffer): LooseFrame {
  const { nonce, session, epoch, export: exportName } = readHello(said.body as HelloBody);
  const proof = secret.prove('client', {
    clientNonce: nonce,
    exportNonce,
    session,
    epoch,
    exportName,
    // The in-memory transport shows none.
    certificateSha256: undefined,
  });
  return { header: [KIND.proof, 0, 0, 0], body: { proof } };
}

/** A request that an export would answer. */
export function request(random: Random, transaction: number, checksum: Checksum): LooseFrame {
  const kind = random.pick(REQUESTS);
  const payloadBytes = random.below(PAYLOAD_BYTES_MAX);
  const payload = [Buffer.alloc(payloadBytes, ATTACK_BYTE)];
  const writes = kind === KIND.write;
  const frame: RequestFrame = {
    kind,
    transaction,
    flags: random.chance(0.5) ? (FLAGS_ALLOWED[kind] ?? 0) : 0,
    retired: random.below(transaction + 1),
    offset: kind === KIND.flush ? 0 : random.below(OFFSET_MAX),
    lengthBytes: kind === KIND.flush ? 0 : payloadBytes,
    checksum: writes ? checksum.digest(payload) : NO_CHECKSUM,
    payload: writes && payloadBytes > 0 ? payload : NO_PIECES,
  };
  return loosely(frame);
}
