/** The kernel's log from some moment on, held against what is known to be harmless. */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { IN_GUEST } from '../support/in-guest.js';

/** What attaching, detaching, mounting and resizing are known to log, on any kernel. */
const HARMLESS: readonly RegExp[] = [
  // The driver tells of each capacity that it is given, and of partitions that it finds.
  /^nbd\d+: detected capacity change from \d+ to \d+$/,
  /^loop\d+: detected capacity change from \d+ to \d+$/,
  /^ nbd\d+:( p\d+)*$/,
  /^set_capacity_and_notify: \d+ callbacks suppressed$/,
  // A detach: DISCONNECT shuts down the sockets, whose threads say so.
  /^block nbd\d+: NBD_DISCONNECT$/,
  /^block nbd\d+: Disconnected due to user request\.$/,
  /^block nbd\d+: shutting down sockets$/,
  // File systems tell of themselves.
  /^EXT4-fs \(\w+\): (mounted|unmounting) filesystem/,
  /^XFS \(\w+\): (Mounting|Ending clean mount|Unmounting Filesystem|EXPERIMENTAL)/,
  /^BTRFS( info)?(:| \(device \w+\):) /,
  // The guest's own kernel: of descriptors that it can't wait for, at the first use of a pipe.
  /^epollctl add err fd \d+, Operation not permitted$/,
  // And of a host that let it wait.
  /^hrtimer: interrupt took \d+ ns$/,
];

/** What can be of our doing: a machine that is no guest of ours logs other things as well. */
const OURS = /nbd|\bloop\d|\bmd\d*\b|EXT4-fs|JBD2|XFS|BTRFS|I\/O error|blocked for more than|stuck/;

/** More than one record of /dev/kmsg can have. */
const RECORD_BYTES_MAX = 8192;

/** The kernel keeps few lines, and attachments make some ten each. */
const READ_INTERVAL_MS = 100;

export class KernelLog {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(RECORD_BYTES_MAX);
  readonly #reading: NodeJS.Timeout;
  #lines: string[] = [];

  private constructor(fd: number) {
    this.#fd = fd;
    this.#read();
    this.#lines = [];
    this.#reading = setInterval(() => this.#read(), READ_INTERVAL_MS);
  }

  static fromNow(): KernelLog {
    return new KernelLog(openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK));
  }

  /**
   * Takes what was logged since the last call; returns the lines that are neither harmless nor
   * expected, of us or of the whole guest.
   */
  takeUnexpected(expected: readonly RegExp[]): string[] {
    this.#read();
    const lines = IN_GUEST ? this.#lines : this.#lines.filter((line) => OURS.test(line));
    this.#lines = [];
    const known = [...HARMLESS, ...expected];
    return lines.filter((line) => !known.some((pattern) => pattern.test(line)));
  }

  close(): void {
    clearInterval(this.#reading);
    closeSync(this.#fd);
  }

  /** A record is "PRIORITY,SEQUENCE,TIME,FLAGS;TEXT", then lines of its properties. */
  #read(): void {
    for (;;) {
      const record = this.#record();
      if (record === undefined) return;
      const [line = ''] = record.slice(record.indexOf(';') + 1).split('\n');
      this.#lines.push(line);
    }
  }

  #record(): string | undefined {
    try {
      const lengthBytes = readSync(this.#fd, this.#buffer, 0, RECORD_BYTES_MAX, null);
      return this.#buffer.toString('utf8', 0, lengthBytes);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') return undefined;
      // Records were lost to newer ones, which are read next.
      if (code === 'EPIPE') return ';records of the kernel’s log were lost';
      throw error;
    }
  }
}
