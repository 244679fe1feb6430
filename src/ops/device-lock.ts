import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { tryLock } from '../block/file-lock.js';
import { systemCalls } from '../block/system-calls.js';
import { DEVICE_LOCK_RETRY_MS } from '../limits.js';
import { unusableFolder } from './runtime-folder.js';

const FILE_MODE = 0o600;

/** Linux has ids up to 2^22. */
const PROCESS_ID_BYTES_MAX = 16;

/** Who holds a lock; the process is not known in the moment in which it takes it. */
export interface LockHolder {
  readonly processId: number | undefined;
}

/**
 * A lock file that this process holds, by flock(2): the kernel drops the lock when the process
 * dies, however it dies. The file holds the process's id, for others to name.
 */
export class DeviceLock {
  readonly #path: string;
  #fd: number | undefined;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /**
   * Takes the lock, or says who has it. Tries for `patienceMs`: a process that was killed has its
   * locks until its memory is gone, and whoever only looks has one for a moment. Throws
   * DST_E_RUNTIME_FOLDER where there can be no such file.
   */
  static async take(path: string, patienceMs: number): Promise<DeviceLock | LockHolder> {
    const deadlineMs = performance.now() + patienceMs;
    for (;;) {
      const fd = openLockFile(path);
      let holder: LockHolder | undefined;
      try {
        if (!(await tryLock(await systemCalls(), fd, 'alone'))) holder = holderNamedIn(fd);
        else if (isStillAt(fd, path)) return DeviceLock.#taken(path, fd);
        // Else its last holder removed it after we had opened it.
      } catch (error) {
        closeSync(fd);
        throw error;
      }
      closeSync(fd);
      if (holder === undefined) continue;
      if (performance.now() >= deadlineMs) return holder;
      await setTimeout(DEVICE_LOCK_RETRY_MS);
    }
  }

  static #taken(path: string, fd: number): DeviceLock {
    try {
      ftruncateSync(fd);
      writeSync(fd, `${process.pid}\n`);
    } catch {
      // Where the disk is full the lock counts all the same: others only cannot name its holder.
    }
    return new DeviceLock(path, fd);
  }

  /** Who holds the lock at `path`; undefined where nobody does. */
  static async holder(path: string): Promise<LockHolder | undefined> {
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch {
      return undefined;
    }
    try {
      return (await tryLock(await systemCalls(), fd, 'shared')) ? undefined : holderNamedIn(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Removes the file, while nobody else can have the lock, and lets go. */
  release(): void {
    if (this.#fd === undefined) return;
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // A file that nobody has locked is in nobody's way.
    }
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}

function openLockFile(path: string): number {
  try {
    return openSync(path, 'a+', FILE_MODE);
  } catch (error) {
    throw unusableFolder(`${path} cannot be opened`, error);
  }
}

function isStillAt(fd: number, path: string): boolean {
  const ours = fstatSync(fd, { bigint: true });
  const there = statSync(path, { bigint: true, throwIfNoEntry: false });
  return there !== undefined && there.ino === ours.ino && there.dev === ours.dev;
}

function holderNamedIn(fd: number): LockHolder {
  const bytes = Buffer.alloc(PROCESS_ID_BYTES_MAX);
  const text = bytes.toString('latin1', 0, readSync(fd, bytes, 0, bytes.length, 0)).trim();
  return { processId: /^\d+$/.test(text) ? Number(text) : undefined };
}
