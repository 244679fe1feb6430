import type { TestContext } from 'node:test';
import type { BlockDevice } from '../../src/block/device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { joinPayload, payloadOf } from '../../src/block/payload.js';
import type { SessionOptions } from '../../src/client/session-options.js';
import { DstError, type DstErrorCode, type ErrnoName } from '../../src/errors.js';
import type { MemoryNetworkOptions } from '../../src/transport/memory.js';
import { type Cluster, startCluster } from '../support/cluster.js';
import { FaultyDevice } from '../support/faulty-device.js';

export const MIB = 1024 * 1024;

/** A remote device over the in-memory network, and the device behind it. */
export async function newRemote(
  t: TestContext,
  options: {
    sizeBytes?: number;
    network?: MemoryNetworkOptions;
    session?: Partial<SessionOptions>;
  } = {},
) {
  const device = new FaultyDevice(new MemoryDevice(options.sizeBytes ?? 4 * MIB));
  const cluster: Cluster = await startCluster('memory', device, {
    ...(options.network === undefined ? {} : { network: options.network }),
  });
  t.after(async () => {
    device.failWhen(() => undefined);
    await cluster.close();
  });
  const remote = await cluster.connect(options.session);
  return { device, cluster, remote };
}

/** Bytes that differ from offset to offset and from seed to seed. */
export function pattern(lengthBytes: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(lengthBytes);
  for (let at = 0; at < lengthBytes; at++)
    bytes[at] = (at * 31 + (at >> 8) * 7 + seed * 101) & 0xff;
  return bytes;
}

export function write(device: BlockDevice, offset: number, bytes: Buffer): Promise<void> {
  return device.write(offset, payloadOf([bytes]), {});
}

export async function read(
  device: BlockDevice,
  offset: number,
  lengthBytes: number,
): Promise<Buffer> {
  const payload = await device.read(offset, lengthBytes);
  const bytes = Buffer.from(joinPayload(payload));
  payload.release();
  return bytes;
}

/** For `assert.rejects`: a `DstError` with this code and errno. */
export function failsWith(code: DstErrorCode, errno?: ErrnoName): (error: unknown) => boolean {
  return (error) => error instanceof DstError && error.code === code && error.errno === errno;
}

/** A repeatable random number generator (mulberry32): the same seed, the same numbers. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
