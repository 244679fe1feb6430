import { DstError } from '../errors.js';
import { SECTOR_BYTES } from '../limits.js';
import type { Log } from '../log.js';
import type { BufferPool } from './buffer-pool.js';
import { type CommandName, checkRange } from './check-range.js';
import { checkSize } from './check-size.js';
import type { DescriptorIo } from './descriptor-io.js';
import type {
  BlockDevice,
  Capabilities,
  Extent,
  Geometry,
  WriteFlags,
  WriteZeroesFlags,
} from './device.js';
import { InFlight } from './in-flight.js';
import type { Payload } from './payload.js';
import type { Space } from './space.js';
import type { SystemCalls } from './system-calls.js';
import { commandError } from './system-error.js';

const POSIX_FADV_WILLNEED = 3;

/** How a local file or disk is opened. */
export interface LocalDeviceOptions {
  /** The size wanted of a file; one that is missing is created with it. */
  readonly sizeBytes?: number;
  readonly readOnly?: boolean;
  /** Where the buffers of reads come from; one of its own by default. */
  readonly bufferPool?: BufferPool;
  /** Told when a file is created or grown, or has got an odd size. */
  readonly log?: Log;
  /** The operating system, unless a test stands in for it. */
  readonly calls?: SystemCalls;
}

export interface LocalDeviceParts {
  readonly io: DescriptorIo;
  readonly space: Space;
  readonly geometry: Geometry;
  /** The size that the file or disk has now, bytes. */
  readonly measure: () => Promise<number>;
  readonly capabilities: Capabilities;
  readonly verifier: Buffer;
  readonly bufferPool: BufferPool;
  readonly log: Log;
}

/** A file or disk of this machine: what both have in common. It owns its descriptors. */
export class LocalDevice implements BlockDevice {
  readonly description: string;
  readonly capabilities: Capabilities;
  readonly verifier: Buffer;
  #geometry: Geometry;
  readonly #measure: () => Promise<number>;
  readonly #log: Log;
  readonly #io: DescriptorIo;
  readonly #space: Space;
  readonly #bufferPool: BufferPool;
  readonly #inFlight: InFlight;
  #closed: Promise<void> | undefined;

  constructor(parts: LocalDeviceParts) {
    this.description = parts.io.description;
    this.#geometry = parts.geometry;
    this.#measure = parts.measure;
    this.#log = parts.log;
    this.capabilities = parts.capabilities;
    this.verifier = parts.verifier;
    this.#io = parts.io;
    this.#space = parts.space;
    this.#bufferPool = parts.bufferPool;
    this.#inFlight = new InFlight(this.description);
  }

  get geometry(): Geometry {
    return this.#geometry;
  }

  async read(offset: number, lengthBytes: number): Promise<Payload> {
    this.#begin('read', offset, lengthBytes);
    const payload = this.#bufferPool.acquire(lengthBytes);
    try {
      await this.#io.read(payload.buffer, offset);
      return payload;
    } catch (error) {
      payload.release();
      throw error;
    } finally {
      this.#inFlight.end();
    }
  }

  async write(offset: number, payload: Payload, flags: WriteFlags): Promise<void> {
    this.#begin('write', offset, payload.lengthBytes);
    try {
      await this.#io.write(payload, offset, flags.fua === true);
    } finally {
      this.#inFlight.end();
    }
  }

  async flush(): Promise<void> {
    this.#inFlight.begin();
    try {
      await this.#io.flush();
    } finally {
      this.#inFlight.end();
    }
  }

  /** Advice: it succeeds where nothing can be given back, too. */
  async trim(offset: number, lengthBytes: number, flags: WriteFlags): Promise<void> {
    this.#begin('trim', offset, lengthBytes);
    try {
      if (lengthBytes > 0) await this.#space.discard(offset, lengthBytes);
      if (flags.fua) await this.#io.flush();
    } finally {
      this.#inFlight.end();
    }
  }

  async writeZeroes(offset: number, lengthBytes: number, flags: WriteZeroesFlags): Promise<void> {
    this.#begin('write zeroes', offset, lengthBytes);
    try {
      if (lengthBytes > 0 && !(await this.#space.zero(offset, lengthBytes, flags))) {
        if (flags.fastZero) throw this.#unsupported('fast zeroing of this kind');
        await this.#io.writeZeroes(lengthBytes, offset);
      }
      if (flags.fua) await this.#io.flush();
    } finally {
      this.#inFlight.end();
    }
  }

  async blockStatus(offset: number, lengthBytes: number): Promise<readonly Extent[]> {
    this.#begin('block status', offset, lengthBytes);
    try {
      if (this.#space.extents === undefined) throw this.#unsupported('block status');
      return await this.#space.extents(offset, lengthBytes);
    } finally {
      this.#inFlight.end();
    }
  }

  async cache(offset: number, lengthBytes: number): Promise<void> {
    this.#begin('cache', offset, lengthBytes);
    const { calls, fd } = this.#io;
    try {
      // To the kernel a length of 0 means "to the end".
      if (lengthBytes > 0) await calls.fadvise(fd, offset, lengthBytes, POSIX_FADV_WILLNEED);
    } catch (error) {
      const action = `cache of ${lengthBytes} bytes at ${offset}`;
      throw commandError(this.description, action, error as NodeJS.ErrnoException);
    } finally {
      this.#inFlight.end();
    }
  }

  async reread(): Promise<void> {
    this.#inFlight.begin();
    try {
      const actualBytes = await this.#actualBytes();
      const sizeBytes = actualBytes - (actualBytes % SECTOR_BYTES);
      checkSize(this.description, sizeBytes);
      if (sizeBytes !== actualBytes) {
        this.#log.warn(
          { actualBytes, sizeBytes },
          `${this.description} is not a multiple of ${SECTOR_BYTES} bytes now: the rest is left out`,
        );
      }
      this.#geometry = { ...this.#geometry, sizeBytes };
    } finally {
      this.#inFlight.end();
    }
  }

  async #actualBytes(): Promise<number> {
    try {
      return await this.#measure();
    } catch (error) {
      if (error instanceof DstError) throw error;
      throw commandError(this.description, 'a look at the size', error as NodeJS.ErrnoException);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#inFlight.close();
    await this.#io.close();
  }

  /** Counts a command in, once its range is found good. Each needs its `end()`. */
  #begin(command: CommandName, offset: number, lengthBytes: number): void {
    checkRange(this, command, offset, lengthBytes);
    this.#inFlight.begin();
  }

  #unsupported(what: string): DstError {
    return new DstError('DST_E_UNSUPPORTED', `${this.description} can't do ${what}`, {
      errno: 'ENOTSUP',
    });
  }
}
