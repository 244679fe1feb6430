import { constants, fstat } from 'node:fs';
import { promisify } from 'node:util';
import { DstError } from '../errors.js';
import { silentLog } from '../log.js';
import { BufferPool } from './buffer-pool.js';
import { checkSize } from './check-size.js';
import { DescriptorIo } from './descriptor-io.js';
import type { BlockDevice, Geometry } from './device.js';
import { DiskSpace } from './disk-space.js';
import { LocalDevice, type LocalDeviceOptions } from './local-device.js';
import { closeDescriptor, openDurable, openPath } from './open-descriptor.js';
import { type SystemCalls, systemCalls } from './system-calls.js';
import { openError } from './system-error.js';
import { localVerifier } from './verifier.js';

// From linux/fs.h, as x86-64 and arm64 encode them.
const BLKGETSIZE64 = 0x80081272;
const BLKSSZGET = 0x1268;
const BLKPBSZGET = 0x127b;

/** The page cache, through which we go, works in pages. */
const PAGE_BYTES = 4096;

const statDescriptor = promisify(fstat);

/**
 * Opens a block special file as a device, alone: not while it is mounted or in use.
 *
 * Errors: DST_E_SIZE (a size was asked for, or it has no medium), DST_E_NOT_FOUND,
 * DST_E_PERMISSION, DST_E_BUSY, DST_E_OPEN.
 */
export async function openDiskDevice(
  path: string,
  options: LocalDeviceOptions = {},
): Promise<BlockDevice> {
  if (options.sizeBytes !== undefined) {
    throw new DstError('DST_E_SIZE', `${path} is a disk and has its own size: leave --size out`);
  }
  const readOnly = options.readOnly ?? false;
  const access = readOnly ? constants.O_RDONLY : constants.O_RDWR;
  let fd: number;
  try {
    fd = await openPath(path, access | constants.O_EXCL);
  } catch (error) {
    throw openError(path, readOnly, error as NodeJS.ErrnoException);
  }
  try {
    return await buildDevice(path, fd, readOnly, options);
  } catch (error) {
    await closeDescriptor(fd);
    throw error;
  }
}

async function buildDevice(
  path: string,
  fd: number,
  readOnly: boolean,
  options: LocalDeviceOptions,
): Promise<BlockDevice> {
  const calls = options.calls ?? (await systemCalls());
  const { rdev } = await statDescriptor(fd, { bigint: true });
  const geometry = await readGeometry(path, fd, readOnly, calls);
  const discardMaxBytes = await calls.diskAttribute(rdev, 'queue/discard_max_bytes');
  const rotational = await calls.diskAttribute(rdev, 'queue/rotational');
  // A disk that is plugged in again is another one, whose own cache is empty.
  const sequence = (await calls.diskAttribute(rdev, 'diskseq')) ?? '';
  const verifier = await localVerifier(`disk ${rdev} ${sequence}`);

  const durableFd = readOnly ? undefined : await openDurable(fd);
  const io = new DescriptorIo(`disk ${path}`, calls, fd, durableFd);
  return new LocalDevice({
    io,
    space: new DiskSpace(io),
    geometry,
    measure: async () => (await readGeometry(path, fd, readOnly, calls)).sizeBytes,
    capabilities: {
      readOnly,
      flush: true,
      fua: true,
      trim: !readOnly && Number(discardMaxBytes ?? 0) > 0,
      writeZeroes: !readOnly,
      fastZero: !readOnly,
      blockStatus: false,
      cache: true,
      rotational: rotational === '1',
    },
    verifier,
    bufferPool: options.bufferPool ?? new BufferPool(),
    log: options.log ?? silentLog,
  });
}

async function readGeometry(
  path: string,
  fd: number,
  readOnly: boolean,
  calls: SystemCalls,
): Promise<Geometry> {
  const size = new BigUint64Array(new ArrayBuffer(8));
  const logical = new Uint32Array(new ArrayBuffer(4));
  const physical = new Uint32Array(new ArrayBuffer(4));
  try {
    await calls.ioctl(fd, BLKGETSIZE64, size);
    await calls.ioctl(fd, BLKSSZGET, logical);
    await calls.ioctl(fd, BLKPBSZGET, physical);
  } catch (error) {
    throw openError(path, readOnly, error as NodeJS.ErrnoException);
  }
  const sizeBytes = Number(size[0]);
  if (sizeBytes === 0) {
    throw new DstError('DST_E_SIZE', `disk ${path} has 0 bytes: insert or attach its medium`);
  }
  checkSize(`disk ${path}`, sizeBytes);
  return {
    sizeBytes,
    minimumBlockBytes: Number(logical[0]),
    preferredBlockBytes: Math.max(PAGE_BYTES, Number(physical[0])),
  };
}
