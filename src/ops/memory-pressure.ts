/**
 * What keeps a client from waiting for its own device. When memory runs out, the kernel writes
 * dirty pages to disks and swap to make room: if the disk is ours, whatever we need memory for
 * meanwhile must not wait for that.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import type { KoffiFunc } from 'koffi';
import { reasonOf } from '../errors.js';
import type { Log } from '../log.js';

/** prctl(2). */
const PR_SET_IO_FLUSHER = 57;
const PR_GET_IO_FLUSHER = 58;

/** fcntl(2): with 0, a file stays open when the process executes another program. */
const F_SETFD = 2;

/** mlock2(2): pages that are not in memory yet are locked when they come. */
const MLOCK_ONFAULT = 1;

/** Never chosen (proc_pid_oom_adj(5)): what it holds is bounded, and all that waits to be written
 * through it could not be freed any more. */
const OOM_SCORE_ADJ = -1000;

interface Native {
  readonly errno: () => number;
  readonly prctl: KoffiFunc<(option: number, a: number, b: number, c: number, d: number) => number>;
  readonly fcntl: KoffiFunc<(fd: number, command: number, argument: number) => number>;
  readonly mlock2: KoffiFunc<(address: bigint, lengthBytes: bigint, flags: number) => number>;
  readonly execv: KoffiFunc<(path: string, argv: (string | null)[]) => number>;
}

async function bind(): Promise<Native> {
  const koffi = await import('koffi');
  const libc = koffi.load(null);
  return {
    errno: () => koffi.errno(),
    // Declared without its ellipsis: on Linux, integers are passed the same way to both.
    prctl: libc.func(
      'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
    ),
    fcntl: libc.func('int fcntl(int fd, int command, long argument)'),
    mlock2: libc.func('int mlock2(uintptr_t address, size_t length, unsigned int flags)'),
    execv: libc.func('int execv(const char *path, const char **argv)'),
  };
}

/**
 * Makes all threads of this process ones whose allocations never wait for I/O (prctl(2),
 * PR_SET_IO_FLUSHER). A thread has that from the one that starts it, and Node has started some
 * before any of our code runs: so the process sets it and executes itself anew, keeping its id,
 * and this does not return. It returns in the new one, or where it may not be (CAP_SYS_RESOURCE).
 *
 * To be called before anything is opened, locked or said. Files that `words`, or those of the
 * command line, name by their numbers stay open.
 */
export async function restartAsIoFlusher(log: Log, words: readonly string[] = []): Promise<void> {
  const native = await bind();
  if (isIoFlusher(native)) return;
  if (native.prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) !== 0 || !isIoFlusher(native)) {
    log.debug(
      { reason: getSystemErrorName(-native.errno()) },
      'this process may not be an I/O flusher: see "Memory" in docs/KERNEL-DEVICE.md',
    );
    return;
  }
  const argv = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  for (const fd of inheritedDescriptors([...argv, ...words])) native.fcntl(fd, F_SETFD, 0);
  native.execv(process.execPath, [...argv, null]);
  log.warn(
    { reason: getSystemErrorName(-native.errno()) },
    'could not execute itself anew, so that not all of its threads are I/O flushers',
  );
}

/**
 * What a new process needs of this one's open files, all of which Node has marked to be closed:
 * those of the standard streams, and what is named by its number ("--cert /dev/fd/3").
 */
export function inheritedDescriptors(words: readonly string[]): number[] {
  const named = words.flatMap((word) => [...word.matchAll(/\/fd\/(\d{1,9})\b/g)]);
  return [0, 1, 2, ...named.map(([, digits]) => Number(digits))];
}

function isIoFlusher({ prctl }: Native): boolean {
  return prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) === 1;
}

/**
 * Keeps what this process touches in memory, and has the kernel spare it when memory runs out,
 * as far as that is permitted; the log says what is not.
 */
export async function guardMemory(log: Log): Promise<void> {
  const reasons = [lockProgram(await bind()), spareFromOomKiller()].filter(
    (each) => each !== undefined,
  );
  if (reasons.length === 0) return;
  log.warn(
    { reasons },
    'this process is not protected against a lack of memory: do not swap to its device (docs/KERNEL-DEVICE.md, "Memory")',
  );
}

/**
 * Keeps the pages of the program and its libraries that have been used. Under pressure the kernel
 * drops those first, and reading them again waits for whatever disk they are on.
 *
 * Memory without a file is left alone (so no mlockall(2)): V8 gives back pages by
 * madvise(MADV_DONTNEED), which fails for locked ones, and ends the process then. What keeps that
 * from being swapped out is the limit of a control group.
 *
 * Returns why it could not.
 */
function lockProgram({ mlock2, errno }: Native): string | undefined {
  for (const { address, lengthBytes } of fileMappings(readFileSync('/proc/self/maps', 'utf8'))) {
    if (mlock2(address, lengthBytes, MLOCK_ONFAULT) === 0) continue;
    return `the program is not locked in memory: ${getSystemErrorName(-errno())}`;
  }
  return undefined;
}

/** Of lines such as "7f00-7f80 r-xp 00000000 fe:00 4711   /usr/lib/libc.so.6" (proc_pid_maps(5)). */
export function fileMappings(maps: string): { address: bigint; lengthBytes: bigint }[] {
  return maps.split('\n').flatMap((line) => {
    const [, start, end, path] =
      /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \d+ +(\/.*)$/.exec(line) ?? [];
    if (start === undefined || end === undefined || path?.startsWith('/dev/')) return [];
    const address = BigInt(`0x${start}`);
    return [{ address, lengthBytes: BigInt(`0x${end}`) - address }];
  });
}

/** Returns why it could not. */
function spareFromOomKiller(): string | undefined {
  try {
    writeFileSync('/proc/self/oom_score_adj', `${OOM_SCORE_ADJ}`);
    return undefined;
  } catch (error) {
    return `it may be killed: ${reasonOf(error)}`;
  }
}
