import { constants } from 'node:os';
import { DstError } from '../errors.js';
import { ZERO_WRITE_BYTES_MAX } from '../limits.js';
import { FlushQueue } from './flush-queue.js';
import { closeDescriptor } from './open-descriptor.js';
import { type Payload, payloadOf, slicePieces } from './payload.js';
import { QuickIo } from './quick-io.js';
import type { SystemCalls } from './system-calls.js';
import { commandError, systemError } from './system-error.js';

let zeroes: Buffer | undefined;

/**
 * Reads, writes and flushes of an open file or disk, by position and whole or not at all.
 *
 * Nothing is mapped into memory: a file that shrinks underneath gives an error, where a
 * mapping would give SIGBUS.
 */
export class DescriptorIo {
  readonly #durableFd: number | undefined;
  readonly #flushes: FlushQueue;
  readonly #quick: QuickIo;

  /**
   * `durableFd` is the same file opened with O_DSYNC, for FUA writes. Such a write makes its
   * own range durable, in one call; an fdatasync after it would take a second one and wait
   * for everybody else's dirty pages too. Without it, that is what is done.
   */
  constructor(
    readonly description: string,
    readonly calls: SystemCalls,
    readonly fd: number,
    durableFd: number | undefined,
  ) {
    this.#durableFd = durableFd;
    this.#quick = new QuickIo(calls, fd);
    this.#flushes = new FlushQueue(description, () => this.#sync());
  }

  /** Fills `target` from `position`. */
  read(target: Buffer, position: number): Promise<void> {
    if (target.length === 0 || this.#quick.read(target, position)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const step = (doneBytes: number): void => {
        const done = (error: NodeJS.ErrnoException | null, bytes: number): void => {
          if (error !== null) {
            reject(this.#failure('read', target.length, position, error));
          } else if (bytes === 0) {
            reject(this.#shrunk(target.length, position));
          } else if (doneBytes + bytes === target.length) {
            resolve();
          } else {
            step(doneBytes + bytes);
          }
        };
        const leftBytes = target.length - doneBytes;
        this.calls.read(this.fd, target, doneBytes, leftBytes, position + doneBytes, done);
      };
      step(0);
    });
  }

  async write(payload: Payload, position: number, fua: boolean): Promise<void> {
    if (fua && this.#durableFd !== undefined) {
      await this.#writeAll(this.#durableFd, payload, position);
      return;
    }
    if (!this.#quick.write(payload, position)) await this.#writeAll(this.fd, payload, position);
    if (fua) await this.flush();
  }

  /** Writes zeroes, in bounded pieces. */
  async writeZeroes(lengthBytes: number, position: number): Promise<void> {
    zeroes ??= Buffer.alloc(ZERO_WRITE_BYTES_MAX);
    for (let at = 0; at < lengthBytes; at += ZERO_WRITE_BYTES_MAX) {
      const piece = zeroes.subarray(0, Math.min(ZERO_WRITE_BYTES_MAX, lengthBytes - at));
      await this.#writeAll(this.fd, payloadOf([piece]), position + at);
    }
  }

  /** Makes what was written before durable. */
  flush(): Promise<void> {
    return this.#flushes.flush();
  }

  /** Closes the descriptors, which drops their locks. */
  async close(): Promise<void> {
    try {
      if (this.#durableFd !== undefined) await closeDescriptor(this.#durableFd);
    } finally {
      await closeDescriptor(this.fd);
    }
  }

  /** Any number of pieces will do: libuv cuts them into batches of IOV_MAX. */
  #writeAll(fd: number, payload: Payload, position: number): Promise<void> {
    if (payload.lengthBytes === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const step = (pieces: readonly Buffer[], doneBytes: number): void => {
        this.calls.writev(fd, pieces, position + doneBytes, (error, bytes) => {
          if (error !== null || bytes === 0) {
            const cause = error ?? systemError('writev', constants.errno.EIO);
            reject(this.#failure('write', payload.lengthBytes, position, cause));
            return;
          }
          const totalBytes = doneBytes + bytes;
          const leftBytes = payload.lengthBytes - totalBytes;
          if (leftBytes === 0) resolve();
          else step(slicePieces(payload, totalBytes, leftBytes), totalBytes);
        });
      };
      step(payload.pieces, 0);
    });
  }

  #sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.calls.fdatasync(this.fd, (error) => {
        if (error === null) resolve();
        else reject(commandError(this.description, 'flush', error));
      });
    });
  }

  #failure(
    command: string,
    lengthBytes: number,
    position: number,
    error: NodeJS.ErrnoException,
  ): DstError {
    return commandError(
      this.description,
      `${command} of ${lengthBytes} bytes at ${position}`,
      error,
    );
  }

  #shrunk(lengthBytes: number, position: number): DstError {
    return new DstError(
      'DST_E_SHRUNK',
      `read of ${lengthBytes} bytes at ${position} found the end of ${this.description}: something has cut it short, so restore its size`,
      { errno: 'EIO' },
    );
  }
}
