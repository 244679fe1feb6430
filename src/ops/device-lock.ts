import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { systemCalls } from '../block/system-calls.js';
import { failedWith } from '../block/system-error.js';
import { DEVICE_LOCK_RETRY_MS } from '../limits.js';

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

const FILE_MODE = 0o600;

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
   * locks until its memory is gone, and whoever only looks has one for a moment.
   */
  static async take(path: string, patienceMs: number): Promise<DeviceLock | LockHolder> {
    const deadlineMs = performance.now() + patienceMs;
    for (;;) {
      const fd = openSync(path, 'a+', FILE_MODE);
      if (!(await flocked(fd, LOCK_EX))) {
        const holder = holderNamedIn(fd);
        closeSync(fd);
        if (performance.now() >= deadlineMs) return holder;
        await setTimeout(DEVICE_LOCK_RETRY_MS);
      } else if (isStillAt(fd, path)) {
        ftruncateSync(fd);
        writeSync(fd, `${process.pid}\n`);
        return new DeviceLock(path, fd);
      } else {
        // Its last holder removed it after we had opened it.
        closeSync(fd);
      }
    }
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
      return (await flocked(fd, LOCK_SH)) ? undefined : holderNamedIn(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Removes the file, while nobody else can have the lock, and lets go. */
  release(): void {
    if (this.#fd === undefined) return;
    rmSync(this.#path, { force: true });
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}

async function flocked(fd: number, kind: number): Promise<boolean> {
  const { flock } = await systemCalls();
  try {
    await flock(fd, kind | LOCK_NB);
    return true;
  } catch (error) {
    if (failedWith(error, 'EAGAIN')) return false;
    throw error;
  }
}

function isStillAt(fd: number, path: string): boolean {
  const ours = fstatSync(fd, { bigint: true });
  const there = statSync(path, { bigint: true, throwIfNoEntry: false });
  return there !== undefined && there.ino === ours.ino && there.dev === ours.dev;
}

function holderNamedIn(fd: number): LockHolder {
  const text = readFileSync(fd, 'utf8').trim();
  return { processId: /^\d+$/.test(text) ? Number(text) : undefined };
}
