import { BLOCK_STATUS_EXTENTS_MAX } from '../limits.js';
import type { DescriptorIo } from './descriptor-io.js';
import type { Extent, WriteZeroesFlags } from './device.js';
import type { Space } from './space.js';
import { commandError, failedWith } from './system-error.js';

const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;
const FALLOC_FL_ZERO_RANGE = 0x10;

const SEEK_END = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

const HOLE = { hole: true, zero: true } as const;
const DATA = { hole: false, zero: false } as const;

/** Space within a file: holes are punched, and found by seeking. */
export class FileSpace implements Space {
  readonly #io: DescriptorIo;
  /** What the file system can do; each is believed until a call says otherwise. */
  readonly #unsupported = new Set<number>();

  constructor(io: DescriptorIo) {
    this.#io = io;
  }

  /** Whether holes can be punched: asks by punching one past the end, where nothing is. */
  async canDiscard(sizeBytes: number): Promise<boolean> {
    return this.#allocate('probe', FALLOC_FL_PUNCH_HOLE, sizeBytes, 1).catch(() => false);
  }

  async discard(offset: number, lengthBytes: number): Promise<void> {
    await this.#allocate('trim', FALLOC_FL_PUNCH_HOLE, offset, lengthBytes);
  }

  async zero(offset: number, lengthBytes: number, flags: WriteZeroesFlags): Promise<boolean> {
    if (!flags.noHole) {
      if (await this.#allocate('write zeroes', FALLOC_FL_PUNCH_HOLE, offset, lengthBytes)) {
        return true;
      }
    }
    return this.#allocate('write zeroes', FALLOC_FL_ZERO_RANGE, offset, lengthBytes);
  }

  /**
   * Data and holes in turn, by lseek. That moves the descriptor's offset, which nothing else
   * here uses. A file system that doesn't know its holes calls all of a file data.
   */
  readonly extents = async (offset: number, lengthBytes: number): Promise<readonly Extent[]> => {
    const end = offset + lengthBytes;
    const extents: Extent[] = [];
    let position = offset;
    while (position < end && extents.length < BLOCK_STATUS_EXTENTS_MAX) {
      const dataStart = await this.#dataStart(position, end);
      if (dataStart > position) {
        extents.push({ lengthBytes: dataStart - position, ...HOLE });
        position = dataStart;
        continue;
      }
      const dataEnd = Math.min(end, (await this.#seek(position, SEEK_HOLE)) ?? end);
      // One punched since the other seek leaves no data here: the next turn sees its hole.
      if (dataEnd > position) extents.push({ lengthBytes: dataEnd - position, ...DATA });
      position = dataEnd;
    }
    return extents;
  };

  /** Where data starts, at or after `position`, or else `end`. */
  async #dataStart(position: number, end: number): Promise<number> {
    // Past the end of a file that was cut short there is no hole, which would read as
    // zeroes: it counts as data, so that whoever copies the device meets the read's error.
    const found = (await this.#seek(position, SEEK_DATA)) ?? (await this.#seek(0, SEEK_END)) ?? 0;
    return Math.min(end, Math.max(position, found));
  }

  /** False where the file system can't do it. */
  async #allocate(
    command: string,
    mode: number,
    offset: number,
    lengthBytes: number,
  ): Promise<boolean> {
    if (this.#unsupported.has(mode)) return false;
    const { calls, fd, description } = this.#io;
    try {
      await calls.fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, offset, lengthBytes);
      return true;
    } catch (error) {
      if (!failedWith(error, 'EOPNOTSUPP', 'ENOSYS')) {
        const action = `${command} of ${lengthBytes} bytes at ${offset}`;
        throw commandError(description, action, error as NodeJS.ErrnoException);
      }
      this.#unsupported.add(mode);
      return false;
    }
  }

  /** Undefined where there is no more of what was sought. */
  async #seek(position: number, whence: number): Promise<number | undefined> {
    const { calls, fd, description } = this.#io;
    try {
      return await calls.lseek(fd, position, whence);
    } catch (error) {
      if (failedWith(error, 'ENXIO')) return undefined;
      if (failedWith(error, 'EINVAL', 'EOPNOTSUPP')) {
        return whence === SEEK_DATA ? position : undefined;
      }
      throw commandError(
        description,
        `block status at ${position}`,
        error as NodeJS.ErrnoException,
      );
    }
  }
}
