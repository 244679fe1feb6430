import { type BigIntStats, constants, fstat, ftruncate } from 'node:fs';
import { stat, unlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import { DstError } from '../errors.js';
import { silentLog } from '../log.js';
import { BufferPool } from './buffer-pool.js';
import { checkSize } from './check-size.js';
import { DescriptorIo } from './descriptor-io.js';
import type { BlockDevice } from './device.js';
import { lockFile } from './file-lock.js';
import { FileSpace } from './file-space.js';
import { LocalDevice, type LocalDeviceOptions } from './local-device.js';
import {
  closeDescriptor,
  openDurable,
  openPath,
  syncDescriptor,
  syncFolderOf,
} from './open-descriptor.js';
import { formatSize } from './size.js';
import { systemCalls } from './system-calls.js';
import { failedWith, openError } from './system-error.js';
import { localVerifier } from './verifier.js';

const PREFERRED_BLOCK_BYTES = 4096;

/** A disk image is its owner's alone: it may hold anything. */
const NEW_FILE_MODE = 0o600;

const statDescriptor = promisify(fstat);
const truncateDescriptor = promisify(ftruncate);

/**
 * Opens a regular file as a device, and locks it against other exports.
 *
 * With `sizeBytes` a missing file is created, sparse, and a smaller one is grown; a larger
 * one is refused (DST_E_SIZE), since cutting it would destroy data. Other errors:
 * DST_E_NOT_FOUND, DST_E_NOT_A_FILE, DST_E_PERMISSION, DST_E_LOCKED, DST_E_OPEN.
 */
export async function openFileDevice(
  path: string,
  options: LocalDeviceOptions = {},
): Promise<BlockDevice> {
  if (options.sizeBytes !== undefined) checkSize('--size', options.sizeBytes);
  const { fd, created } = await openOrCreate(path, options);
  try {
    return await buildDevice(path, fd, created, options);
  } catch (error) {
    await closeDescriptor(fd);
    throw error;
  }
}

async function openOrCreate(
  path: string,
  options: LocalDeviceOptions,
): Promise<{ fd: number; created: boolean }> {
  const readOnly = options.readOnly ?? false;
  try {
    const stats = await stat(path);
    if (!stats.isFile()) throw notAFile(path, stats.isDirectory());
    return {
      fd: await openPath(path, readOnly ? constants.O_RDONLY : constants.O_RDWR),
      created: false,
    };
  } catch (error) {
    if (error instanceof DstError) throw error;
    if (!failedWith(error, 'ENOENT') || readOnly) {
      throw openError(path, readOnly, error as NodeJS.ErrnoException);
    }
  }
  if (options.sizeBytes === undefined) {
    throw new DstError(
      'DST_E_NOT_FOUND',
      `${path} does not exist: give --size (as in --size 10G) to create it`,
    );
  }
  try {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    return { fd: await openPath(path, flags, NEW_FILE_MODE), created: true };
  } catch (error) {
    throw createError(path, error as NodeJS.ErrnoException);
  }
}

async function buildDevice(
  path: string,
  fd: number,
  created: boolean,
  options: LocalDeviceOptions,
): Promise<BlockDevice> {
  const readOnly = options.readOnly ?? false;
  const calls = options.calls ?? (await systemCalls());
  await lockFile(calls, path, fd, readOnly, await statDescriptor(fd, { bigint: true }));
  // Read once more, since it may have grown until the lock was ours.
  const stats = await statDescriptor(fd, { bigint: true });
  const sizeBytes = await settleSize(path, fd, Number(stats.size), created, options);

  const verifier = await localVerifier(identity(stats));
  const durableFd = readOnly ? undefined : await openDurable(fd);
  const io = new DescriptorIo(`file ${path}`, calls, fd, durableFd);
  const space = new FileSpace(io);
  return new LocalDevice({
    io,
    space,
    geometry: { sizeBytes, minimumBlockBytes: 1, preferredBlockBytes: PREFERRED_BLOCK_BYTES },
    measure: async () => (await statDescriptor(fd)).size,
    capabilities: {
      readOnly,
      flush: true,
      fua: true,
      trim: !readOnly && (await space.canDiscard(sizeBytes)),
      writeZeroes: !readOnly,
      fastZero: !readOnly,
      blockStatus: true,
      cache: true,
      rotational: false,
    },
    verifier,
    bufferPool: options.bufferPool ?? new BufferPool(),
    log: options.log ?? silentLog,
  });
}

/** The size to serve: that of the file, after it was given the one asked for. */
async function settleSize(
  path: string,
  fd: number,
  actualBytes: number,
  created: boolean,
  options: LocalDeviceOptions,
): Promise<number> {
  const wantedBytes = options.sizeBytes ?? actualBytes;
  if (wantedBytes === actualBytes) {
    if (actualBytes === 0) throw emptyError(path);
    checkSize(path, actualBytes);
    return actualBytes;
  }
  if (wantedBytes < actualBytes) {
    throw new DstError(
      'DST_E_SIZE',
      `${path} has ${actualBytes} bytes, more than the ${wantedBytes} of --size, and cutting it would destroy data: leave --size out, or cut it yourself with truncate`,
    );
  }
  if (options.readOnly) {
    throw new DstError(
      'DST_E_SIZE',
      `${path} has ${actualBytes} bytes, not the ${wantedBytes} of --size, and --read-only forbids growing it: leave one of them out`,
    );
  }
  try {
    await truncateDescriptor(fd, wantedBytes);
    await syncDescriptor(fd);
    if (created) await syncFolderOf(path);
  } catch (error) {
    // Ours alone: it was created, not found, and is locked.
    if (created) await unlink(path);
    throw sizeError(path, wantedBytes, error as NodeJS.ErrnoException);
  }
  const log = options.log ?? silentLog;
  if (created) log.info({ path, sizeBytes: wantedBytes }, 'created a sparse file');
  else log.info({ path, fromBytes: actualBytes, sizeBytes: wantedBytes }, 'grew the file');
  return wantedBytes;
}

/** The inode number alone may be used again for another file; its birth tells them apart. */
function identity(stats: BigIntStats): string {
  return `file ${stats.dev} ${stats.ino} ${stats.birthtimeNs}`;
}

function notAFile(path: string, directory: boolean): DstError {
  const kind = directory ? 'a directory' : 'neither a file nor a disk';
  return new DstError('DST_E_NOT_A_FILE', `${path} is ${kind}: name a file or a disk`);
}

function emptyError(path: string): DstError {
  return new DstError('DST_E_SIZE', `${path} is empty: give --size (as in --size 10G) to grow it`);
}

function createError(path: string, error: NodeJS.ErrnoException): DstError {
  if (failedWith(error, 'ENOENT')) {
    return new DstError(
      'DST_E_NOT_FOUND',
      `${path} cannot be created since its directory does not exist: create that first`,
      { cause: error },
    );
  }
  return openError(path, false, error);
}

function sizeError(path: string, sizeBytes: number, error: NodeJS.ErrnoException): DstError {
  return new DstError(
    'DST_E_SIZE',
    `${path} cannot be given ${formatSize(sizeBytes)} (${error.code ?? error.message}): give a smaller --size, or use another file system`,
    { cause: error },
  );
}
