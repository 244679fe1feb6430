import { fdatasync, read, writev, writevSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import type { KoffiFunc } from 'koffi';
import { NATIVE_CALLS_MAX } from '../limits.js';
import { splitDeviceNumber } from './device-number.js';
import { systemError } from './system-error.js';

export type IoCallback = (error: NodeJS.ErrnoException | null, lengthBytes: number) => void;

/**
 * What local devices ask of the operating system: one seam, so that tests can inject
 * faults and a disk that is not there.
 *
 * The three on the hot path take callbacks, since a promise for each step of a command
 * would cost more than the step. Calls fail with a Node system error (`errno` negative).
 */
export interface SystemCalls {
  read(
    fd: number,
    target: Buffer,
    targetOffset: number,
    lengthBytes: number,
    position: number,
    done: IoCallback,
  ): void;
  writev(fd: number, pieces: readonly Buffer[], position: number, done: IoCallback): void;
  /** Reads what the page cache holds without waiting: the bytes read, or a negative errno. */
  readNow?(fd: number, target: Buffer, position: number): number;
  /** Writes on this thread, waiting if it must: the bytes written, or a negative errno. */
  writeNow?(fd: number, pieces: readonly Buffer[], position: number): number;
  fdatasync(fd: number, done: (error: NodeJS.ErrnoException | null) => void): void;
  fallocate(fd: number, mode: number, offset: number, lengthBytes: number): Promise<void>;
  /** Resolves to the new offset. */
  lseek(fd: number, offset: number, whence: number): Promise<number>;
  fadvise(fd: number, offset: number, lengthBytes: number, advice: number): Promise<void>;
  flock(fd: number, operation: number): Promise<void>;
  /** `argument` must lie over an ArrayBuffer of its own: V8 may move the small ones of others. */
  ioctl(fd: number, request: number, argument: Uint32Array | BigUint64Array): Promise<void>;
  /** An attribute of the disk in sysfs ("queue/rotational"); undefined where there is none. */
  diskAttribute(deviceNumber: bigint, name: string): Promise<string | undefined>;
}

type Koffi = typeof import('koffi');
type Library = ReturnType<Koffi['load']>;
type NativeArgument = number | ArrayBufferView;
type NativeFunction = KoffiFunc<(...args: NativeArgument[]) => number>;

interface Native {
  readonly errno: () => number;
  readonly fallocate: NativeFunction;
  readonly lseek: NativeFunction;
  readonly fadvise: NativeFunction;
  readonly flock: NativeFunction;
  readonly ioctl: NativeFunction;
}

let loaded: Promise<SystemCalls> | undefined;

/** The real ones. Binds libc at the first use, so that memory devices need no koffi. */
export function systemCalls(): Promise<SystemCalls> {
  loaded ??= bind();
  return loaded;
}

async function bind(): Promise<SystemCalls> {
  const koffi = await import('koffi');
  const libc = koffi.load(null);
  const native: Native = {
    errno: () => koffi.errno(),
    fallocate: libc.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)'),
    lseek: libc.func('int64_t lseek(int fd, int64_t offset, int whence)'),
    fadvise: libc.func('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)'),
    flock: libc.func('int flock(int fd, int operation)'),
    // Declared without its ellipsis, since koffi makes no asynchronous variadic calls. On
    // Linux, x86-64 and arm64 alike, integers and pointers are passed the same way to both.
    ioctl: libc.func('int ioctl(int fd, unsigned long request, void *argument)'),
  };
  const slots = new Slots(NATIVE_CALLS_MAX);
  const call = (name: string, func: NativeFunction, ...args: NativeArgument[]): Promise<number> =>
    slots.run(() => callNative(native, name, func, args));

  return {
    read,
    writev: (fd, pieces, position, done) => writev(fd, pieces, position, done),
    readNow: readerNow(koffi, libc),
    writeNow,
    fdatasync,
    fallocate: async (fd, mode, offset, lengthBytes) => {
      await call('fallocate', native.fallocate, fd, mode, offset, lengthBytes);
    },
    lseek: (fd, offset, whence) => call('lseek', native.lseek, fd, offset, whence),
    fadvise: async (fd, offset, lengthBytes, advice) => {
      // Unlike the others it returns the error's number.
      const result = await call('fadvise', native.fadvise, fd, offset, lengthBytes, advice);
      if (result !== 0) throw systemError('fadvise', result);
    },
    flock: async (fd, operation) => {
      await call('flock', native.flock, fd, operation);
    },
    ioctl: async (fd, request, argument) => {
      await call('ioctl', native.ioctl, fd, request, argument);
    },
    diskAttribute,
  };
}

const RWF_NOWAIT = 8;

/**
 * preadv2 with RWF_NOWAIT, which fails with EAGAIN rather than wait for the disk, and with
 * EOPNOTSUPP on a file system that cannot promise that.
 */
function readerNow(koffi: Koffi, libc: Library): NonNullable<SystemCalls['readNow']> {
  const preadv2: NativeFunction = libc.func(
    'int64_t preadv2(int fd, void *vector, int count, int64_t offset, int flags)',
  );
  // One struct iovec: base and length. The call is synchronous, so one serves all.
  const vector = new BigUint64Array(2);
  return (fd, target, position) => {
    vector[0] = koffi.address(target);
    vector[1] = BigInt(target.length);
    const result = preadv2(fd, vector, 1, position, RWF_NOWAIT);
    return result === -1 ? -koffi.errno() : result;
  };
}

function writeNow(fd: number, pieces: readonly Buffer[], position: number): number {
  try {
    return writevSync(fd, pieces, position);
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? -constants.errno.EIO;
  }
}

/**
 * Runs a native function on the libuv thread pool, so that a slow disk does not hold up the
 * event loop.
 *
 * koffi keeps the errno that the call left on its thread, and puts it back on this thread
 * while the callback runs: it must be read there, first of all, and nowhere else.
 */
function callNative(
  native: Native,
  name: string,
  func: NativeFunction,
  args: readonly NativeArgument[],
): Promise<number> {
  return new Promise((resolve, reject) => {
    func.async(...args, (error: unknown, result: number) => {
      const errno = native.errno();
      if (error !== null) reject(error);
      else if (result !== -1) resolve(result);
      else if (errno === constants.errno.EINTR) resolve(callNative(native, name, func, args));
      else reject(systemError(name, errno));
    });
  });
}

/** Lets so many calls run at once; the others wait their turn. koffi throws beyond its own limit. */
class Slots {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}

async function diskAttribute(deviceNumber: bigint, name: string): Promise<string | undefined> {
  const { major, minor } = splitDeviceNumber(deviceNumber);
  const folder = `/sys/dev/block/${major}:${minor}`;
  // A partition has these in its disk's folder, which is the parent of what the link names:
  // the kernel must resolve the "..", not a path library.
  for (const path of [`${folder}/${name}`, `${folder}/../${name}`]) {
    try {
      return (await readFile(path, 'utf8')).trim();
    } catch {}
  }
  return undefined;
}
