import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { BlockDevice } from '../../src/block/device.js';
import { openFileDevice } from '../../src/block/file-device.js';
import type { LocalDeviceOptions } from '../../src/block/local-device.js';
import { joinPayload, payloadOf } from '../../src/block/payload.js';
import { type SystemCalls, systemCalls } from '../../src/block/system-calls.js';
import { DstError, type DstErrorCode, type ErrnoName } from '../../src/errors.js';

export const MIB = 1024 * 1024;

/** A fresh folder that goes away with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'dst-quic-block-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder with a small tmpfs on it, or the reason why there can't be one. */
export function mountTmpfs(t: TestContext, size: string): { folder: string } | { reason: string } {
  const folder = mkdtempSync(join(tmpdir(), 'dst-quic-block-'));
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', folder]);
  t.after(() => {
    // Lazily, since the hooks that close a test's devices run after this one.
    if (mount.status === 0) spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  if (mount.status !== 0) return { reason: `a tmpfs can't be mounted: ${mount.stderr}` };
  return { folder };
}

/** A device over a new file; both go away with the test. */
export async function newFileDevice(
  t: TestContext,
  options: LocalDeviceOptions = {},
): Promise<{ device: BlockDevice; path: string }> {
  const path = join(temporaryFolder(t), 'store');
  const device = await openFileDevice(path, { sizeBytes: MIB, ...options });
  t.after(() => device.close());
  return { device, path };
}

/** The system calls with some of them replaced. */
export async function callsWith(
  replace: (real: SystemCalls) => Partial<SystemCalls>,
): Promise<SystemCalls> {
  // Without the quick path, so that the calls that a test replaces are the ones made.
  const { readNow: _readNow, writeNow: _writeNow, ...real } = await systemCalls();
  return { ...real, ...replace(real) };
}

/** Bytes that are not zero, and differ from seed to seed. */
export function pattern(lengthBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at += 1) bytes[at] = ((at * 7 + seed * 31) % 255) + 1;
  return bytes;
}

/** A copy of what the device holds. */
export async function readBytes(
  device: BlockDevice,
  offset: number,
  lengthBytes: number,
): Promise<Buffer> {
  const payload = await device.read(offset, lengthBytes);
  const bytes = Buffer.from(joinPayload(payload));
  payload.release();
  return bytes;
}

export async function writeBytes(
  device: BlockDevice,
  offset: number,
  ...pieces: Buffer[]
): Promise<void> {
  await device.write(offset, payloadOf(pieces), {});
}

/** For `assert.rejects` and `assert.throws`. */
export function dstError(
  code: DstErrorCode,
  expected: { errno?: ErrnoName; message?: RegExp } = {},
): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof DstError, `not a DstError: ${error}`);
    assert.equal(error.code, code);
    if (expected.errno !== undefined) assert.equal(error.errno, expected.errno);
    if (expected.message !== undefined) assert.match(error.message, expected.message);
    return true;
  };
}

/** A promise that the test settles. */
export function signal(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
