import { checkRange } from '../../src/block/check-range.js';
import type {
  BlockDevice,
  Capabilities,
  Extent,
  Geometry,
  WriteFlags,
} from '../../src/block/device.js';
import { joinPayload, type Payload, payloadOf } from '../../src/block/payload.js';
import type { Clock } from '../../src/clock.js';
import { DstError, type ErrnoName } from '../../src/errors.js';
import { BLOCK_BYTES, decodeBlocks, encodeBlocks, ZERO } from './blocks.js';
import { Violation } from './checker.js';
import type { SimulatedDisk } from './disk.js';
import type { Random } from './random.js';

/** How long commands take and how many fail; a fault may change it at any time. */
export interface DiskHabits {
  latencyMs: number;
  slowRate: number;
  slowMsMax: number;
  errorRate: number;
}

/** What an injected error is known by. */
export const DISK_ERROR = 'DST_E_SIMULATED_DISK';

const CAPABILITIES: Capabilities = {
  readOnly: false,
  flush: true,
  fua: true,
  trim: true,
  writeZeroes: true,
  fastZero: false,
  blockStatus: true,
  cache: true,
  rotational: false,
};

/** A write, trim or write zeroes that has not ended. */
interface Change {
  readonly first: number;
  /** Read when the change is applied, as a disk reads memory whenever it likes. */
  readonly values: () => readonly number[];
  applied: boolean;
}

/** A simulated disk as one process has it open. A command is applied at once or at its end. */
export class DiskHandle implements BlockDevice {
  readonly description = 'the simulated disk';
  readonly geometry: Geometry;
  readonly capabilities = CAPABILITIES;
  readonly verifier: Buffer;
  readonly #disk: SimulatedDisk;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #habits: DiskHabits;
  readonly #changes = new Set<Change>();
  #inProgress = 0;
  #idle: (() => void)[] = [];

  constructor(disk: SimulatedDisk, clock: Clock, random: Random, habits: DiskHabits) {
    this.#disk = disk;
    this.#clock = clock;
    this.#random = random;
    this.#habits = habits;
    this.verifier = disk.verifier;
    const sizeBytes = disk.blockCount * BLOCK_BYTES;
    this.geometry = {
      sizeBytes,
      minimumBlockBytes: BLOCK_BYTES,
      preferredBlockBytes: BLOCK_BYTES,
    };
  }

  /** The process is gone: of what was in progress, any part has happened. */
  kill(): void {
    for (const change of this.#changes) this.#applySome(change);
    this.#changes.clear();
  }

  async read(offset: number, lengthBytes: number): Promise<Payload> {
    checkRange(this, 'read', offset, lengthBytes);
    const sample = () => {
      const first = offset / BLOCK_BYTES;
      const count = lengthBytes / BLOCK_BYTES;
      return Array.from({ length: count }, (_, index) => this.#disk.value(first + index));
    };
    const early = this.#random.chance(0.5) ? sample() : undefined;
    await this.#command('read');
    return payloadOf([encodeBlocks(early ?? sample())]);
  }

  async write(offset: number, payload: Payload, flags: WriteFlags): Promise<void> {
    checkRange(this, 'write', offset, payload.lengthBytes);
    await this.#change('write', offset, () => wholeBlocks(payload), flags);
  }

  async trim(offset: number, lengthBytes: number, flags: WriteFlags): Promise<void> {
    checkRange(this, 'trim', offset, lengthBytes);
    await this.#change('trim', offset, () => zeroes(lengthBytes), flags);
  }

  async writeZeroes(offset: number, lengthBytes: number, flags: WriteFlags): Promise<void> {
    checkRange(this, 'write zeroes', offset, lengthBytes);
    await this.#change('write zeroes', offset, () => zeroes(lengthBytes), flags);
  }

  async flush(): Promise<void> {
    const sequence = this.#disk.sequence;
    await this.#command('flush');
    this.#disk.hardenAll(sequence);
  }

  async blockStatus(offset: number, lengthBytes: number): Promise<readonly Extent[]> {
    checkRange(this, 'block status', offset, lengthBytes);
    await this.#command('block status');
    return [{ lengthBytes, hole: false, zero: false }];
  }

  async cache(offset: number, lengthBytes: number): Promise<void> {
    checkRange(this, 'cache', offset, lengthBytes);
    await this.#command('cache');
  }

  async reread(): Promise<void> {}

  async close(): Promise<void> {
    if (this.#inProgress > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #change(
    name: string,
    offset: number,
    values: Change['values'],
    { fua }: WriteFlags,
  ): Promise<void> {
    const change: Change = { first: offset / BLOCK_BYTES, values, applied: false };
    this.#changes.add(change);
    let sequence = this.#random.chance(0.3) ? this.#apply(change) : undefined;
    try {
      await this.#command(name);
    } catch (error) {
      this.#applySome(change);
      throw error;
    } finally {
      this.#changes.delete(change);
    }
    sequence ??= this.#apply(change);
    if (!fua) return;
    for (const index of change.values().keys()) this.#disk.harden(change.first + index, sequence);
  }

  /** Takes as long as a command does; rejects where it is to fail. */
  #command(name: string): Promise<void> {
    const { latencyMs, slowRate, slowMsMax, errorRate } = this.#habits;
    const random = this.#random;
    const slow = random.chance(slowRate);
    const delayMs = slow ? random.magnitude(10, slowMsMax) : random.between(0, latencyMs);
    const errno = random.pick<ErrnoName>(['EIO', 'ENOSPC']);
    // A failed flush makes the client write anew what was acked, which a disk that goes on
    // failing may refuse: then nothing is promised.
    const fails = random.chance(errorRate) && !this.#disk.flushHasFailed;
    if (fails && name === 'flush') this.#disk.flushHasFailed = true;
    this.#inProgress++;
    return new Promise((resolve, reject) => {
      this.#clock.after(delayMs, () => {
        this.#inProgress--;
        if (fails) reject(new DstError(DISK_ERROR, `${name} failed, as the seed wants`, { errno }));
        else resolve();
        if (this.#inProgress === 0) for (const closed of this.#idle.splice(0)) closed();
      });
    });
  }

  /** Returns the number of the last block's write. */
  #apply(change: Change): number {
    change.applied = true;
    let sequence = 0;
    for (const [index, value] of change.values().entries()) {
      sequence = this.#disk.apply(change.first + index, value);
    }
    return sequence;
  }

  #applySome(change: Change): void {
    if (change.applied) return;
    for (const [index, value] of change.values().entries()) {
      if (this.#random.chance(0.5)) this.#disk.apply(change.first + index, value);
    }
  }
}

function wholeBlocks(payload: Payload): readonly number[] {
  return decodeBlocks(joinPayload(payload)).map((value) => {
    if (value === undefined) throw new Violation('a block reached the disk that nobody wrote');
    return value;
  });
}

function zeroes(lengthBytes: number): readonly number[] {
  return new Array<number>(lengthBytes / BLOCK_BYTES).fill(ZERO);
}
