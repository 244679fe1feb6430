import { DISK_RANGE_BYTES_MAX } from '../limits.js';
import type { DescriptorIo } from './descriptor-io.js';
import type { WriteZeroesFlags } from './device.js';
import type { Space } from './space.js';
import { commandError, failedWith } from './system-error.js';

const BLKDISCARD = 0x1277;
const BLKZEROOUT = 0x127f;

const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;

/** Space on a disk, which tells nobody what is allocated. */
export class DiskSpace implements Space {
  readonly #io: DescriptorIo;
  #canPunch = true;

  constructor(io: DescriptorIo) {
    this.#io = io;
  }

  async discard(offset: number, lengthBytes: number): Promise<void> {
    try {
      await this.#inPieces(offset, lengthBytes, (range) =>
        this.#io.calls.ioctl(this.#io.fd, BLKDISCARD, range),
      );
    } catch (error) {
      if (!failedWith(error, 'EOPNOTSUPP', 'ENOTTY')) {
        throw this.#failure('trim', offset, lengthBytes, error);
      }
    }
  }

  /**
   * Punching a hole in a disk zeroes what the hardware can zero by itself, and else fails:
   * it is the fast way, if blocks may be given back. BLKZEROOUT always works, keeps blocks
   * allocated, and may well have the kernel write the zeroes, so it is never "fast".
   */
  async zero(offset: number, lengthBytes: number, flags: WriteZeroesFlags): Promise<boolean> {
    try {
      if (!flags.noHole && (await this.#punch(offset, lengthBytes))) return true;
      if (flags.fastZero) return false;
      await this.#inPieces(offset, lengthBytes, (range) =>
        this.#io.calls.ioctl(this.#io.fd, BLKZEROOUT, range),
      );
      return true;
    } catch (error) {
      throw this.#failure('write zeroes', offset, lengthBytes, error);
    }
  }

  async #punch(offset: number, lengthBytes: number): Promise<boolean> {
    if (!this.#canPunch) return false;
    const { calls, fd } = this.#io;
    try {
      await this.#inPieces(offset, lengthBytes, (range) =>
        calls.fallocate(
          fd,
          FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
          Number(range[0]),
          Number(range[1]),
        ),
      );
      return true;
    } catch (error) {
      if (!failedWith(error, 'EOPNOTSUPP', 'ENODEV', 'ENOSYS')) throw error;
      this.#canPunch = false;
      return false;
    }
  }

  /** Calls `work` for each piece of a range with what the ioctls take: [offset, length]. */
  async #inPieces(
    offset: number,
    lengthBytes: number,
    work: (range: BigUint64Array) => Promise<void>,
  ): Promise<void> {
    for (let at = 0; at < lengthBytes; at += DISK_RANGE_BYTES_MAX) {
      const range = new BigUint64Array(new ArrayBuffer(16));
      range[0] = BigInt(offset + at);
      range[1] = BigInt(Math.min(DISK_RANGE_BYTES_MAX, lengthBytes - at));
      await work(range);
    }
  }

  #failure(command: string, offset: number, lengthBytes: number, error: unknown): Error {
    const action = `${command} of ${lengthBytes} bytes at ${offset}`;
    return commandError(this.#io.description, action, error as NodeJS.ErrnoException);
  }
}
