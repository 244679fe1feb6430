import type { BigIntStats } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { DstError } from '../errors.js';
import { splitDeviceNumber } from './device-number.js';
import type { SystemCalls } from './system-calls.js';
import { failedWith, openError } from './system-error.js';

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Tries to lock an open file, alone or together with others who share it; whether it could. By
 * flock(2), so that the kernel drops it with this opening of the file, or when the process dies.
 */
export async function tryLock(
  { flock }: Pick<SystemCalls, 'flock'>,
  fd: number,
  how: 'alone' | 'shared',
): Promise<boolean> {
  try {
    await flock(fd, (how === 'alone' ? LOCK_EX : LOCK_SH) | LOCK_NB);
    return true;
  } catch (error) {
    if (failedWith(error, 'EAGAIN')) return false;
    throw error;
  }
}

/**
 * Locks an open file for as long as it is open: alone for writing, or with other readers.
 *
 * By flock(2), which belongs to this opening of the file: other processes and other
 * openings in this one conflict with it, and the kernel drops it when the process dies.
 */
export async function lockFile(
  calls: SystemCalls,
  path: string,
  fd: number,
  readOnly: boolean,
  stats: BigIntStats,
): Promise<void> {
  const locked = await tryLock(calls, fd, readOnly ? 'shared' : 'alone').catch((error) => {
    throw openError(path, readOnly, error);
  });
  if (!locked) {
    const holders = await lockHolders(stats);
    const who = holders.length === 0 ? 'another process' : `process ${holders.join(', ')}`;
    throw new DstError(
      'DST_E_LOCKED',
      `${path} is served or used by ${who}: end it first, or open it --read-only in both`,
    );
  }
}

/** Ids of the processes that hold locks of a file, as far as the kernel tells. */
async function lockHolders(stats: BigIntStats): Promise<number[]> {
  try {
    return parseLockHolders(await readFile('/proc/locks', 'utf8'), stats.dev, stats.ino);
  } catch {
    return [];
  }
}

/**
 * Reads lines such as "1: FLOCK  ADVISORY  WRITE 1234 fe:00:4711 0 EOF" of /proc/locks: the
 * process, then the file's device (hexadecimal) and inode. "->" marks one that only waits.
 */
export function parseLockHolders(locks: string, deviceNumber: bigint, inode: bigint): number[] {
  const { major, minor } = splitDeviceNumber(deviceNumber);
  const hex = (half: bigint): string => half.toString(16).padStart(2, '0');
  const file = `${hex(major)}:${hex(minor)}:${inode}`;
  const holders = new Set<number>();
  for (const line of locks.split('\n')) {
    const [, kind, , , processId, lockedFile] = line.trim().split(/\s+/);
    // A process of another container has no id here: the kernel writes 0.
    if (kind === 'FLOCK' && lockedFile === file && Number(processId) > 0) {
      holders.add(Number(processId));
    }
  }
  return [...holders];
}
