/**
 * A load that verifies: reads, writes, zeroes, FUA writes and flushes at random, many at once,
 * each read compared with what was written. It runs all the while that faults happen.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { BLOCK_BYTES, type BlockRange, ExpectedBlocks } from './expected-blocks.js';
import type { LoadedDevice } from './nbd-client.js';
import { eventually, patiently } from './patience.js';
import { seededRandom } from './random.js';

export interface LoadOptions {
  /** Commands at once. */
  readonly depth: number;
  /** Each of them waits for up to so long before the next, which spares the machine. */
  readonly thinkMsMax: number;
  readonly seed: number;
  /** Flushes and FUA writes at random; without them only `checkpoint` makes data durable. */
  readonly durable: boolean;
}

const DEFAULTS: LoadOptions = { depth: 16, thinkMsMax: 60, seed: 1, durable: true };

/** Shares of the commands; the rest are reads. */
const WRITE_SHARE = 0.45;
const FUA_SHARE = 0.05;
const ZEROES_SHARE = 0.05;
const FLUSH_SHARE = 0.03;

/** Lengths: most are one block, some a few, and some are large enough to be split in two. */
const SINGLE_SHARE = 0.7;
const LARGE_SHARE = 0.03;
const MEDIUM_BLOCKS_MAX = 16;
const LARGE_BLOCKS = 96;

/** Beyond it everything that goes wrong is counted, and not described. */
const DESCRIBED_MAX = 10;

/** What takes longer hangs: no fault here lasts half as long. */
const HANGS_MS = 180_000;

const VERIFY_BLOCKS = 64;

export interface LoadReport {
  readonly commands: number;
  readonly writtenBytes: number;
  readonly ioErrors: number;
  /** Blocks that did not hold what they should. */
  readonly verifyErrors: number;
  /** The first of both, in words. */
  readonly problems: readonly string[];
  /** The longest time from a command's start to its end. */
  readonly longestStallMs: number;
  /** The longest time in which no command ended. */
  readonly longestGapMs: number;
}

export class Load {
  readonly #device: LoadedDevice;
  readonly #options: LoadOptions;
  readonly #blocks: ExpectedBlocks;
  readonly #random: () => number;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #problems: string[] = [];
  #workers: Promise<void>[] = [];
  #state: 'running' | 'held' | 'stopped' = 'stopped';
  #commands = 0;
  #writtenBytes = 0;
  #ioErrors = 0;
  #verifyErrors = 0;
  #longestStallMs = 0;
  #longestGapMs = 0;
  #lastEndMs = 0;

  /** The device must be all zeroes, and nobody else's. */
  constructor(device: LoadedDevice, options: Partial<LoadOptions> = {}) {
    this.#device = device;
    this.#options = { ...DEFAULTS, ...options };
    this.#blocks = new ExpectedBlocks(device.sizeBytes);
    this.#random = seededRandom(this.#options.seed);
  }

  get report(): LoadReport {
    return {
      commands: this.#commands,
      writtenBytes: this.#writtenBytes,
      ioErrors: this.#ioErrors,
      verifyErrors: this.#verifyErrors,
      problems: this.#problems,
      longestStallMs: this.#longestStallMs,
      longestGapMs: this.#longestGapMs,
    };
  }

  start(): void {
    this.#state = 'running';
    this.#lastEndMs = performance.now();
    this.#workers = Array.from({ length: this.#options.depth }, () => this.#work());
  }

  /** Stalls and gaps are measured from now on. */
  measureAnew(): void {
    this.#longestStallMs = 0;
    this.#longestGapMs = 0;
    this.#lastEndMs = performance.now();
  }

  /** Waits until so many more commands have ended. */
  async progress(commands: number): Promise<void> {
    const wanted = this.#commands + commands;
    await eventually(() => this.#commands >= wanted, HANGS_MS, `${commands} more commands`);
  }

  /** Waits until so many more bytes were written. */
  async written(lengthBytes: number): Promise<void> {
    const wanted = this.#writtenBytes + lengthBytes;
    await eventually(() => this.#writtenBytes >= wanted, HANGS_MS, `${lengthBytes} more bytes`);
  }

  /** Waits until every command that is in flight now has ended; returns how long it took, ms. */
  async caughtUp(): Promise<number> {
    const startMs = performance.now();
    await patiently(Promise.all(this.#inFlight), HANGS_MS, 'the commands in flight');
    return performance.now() - startMs;
  }

  /** Holds new commands back, waits for those in flight, flushes, acts, and goes on. */
  async checkpoint(act: () => void): Promise<void> {
    this.#state = 'held';
    await this.caughtUp();
    await this.#flush();
    act();
    this.#lastEndMs = performance.now();
    this.#state = 'running';
  }

  /** Ends the load as it is, where nobody wants to know any more. */
  abandon(): void {
    this.#state = 'stopped';
  }

  /** Ends the load, flushes, and reads back all that was ever written. */
  async stop(): Promise<LoadReport> {
    this.#state = 'stopped';
    await patiently(Promise.all(this.#workers), HANGS_MS, 'the commands in flight at the end');
    await this.#flush();
    for (let first = 0; first < this.#blocks.count; first += VERIFY_BLOCKS) {
      const count = Math.min(VERIFY_BLOCKS, this.#blocks.count - first);
      await this.#timed(() => this.#read({ first, count }));
    }
    return this.report;
  }

  async #work(): Promise<void> {
    while (this.#state !== 'stopped') {
      await pause(this.#random() * this.#options.thinkMsMax);
      if (this.#state !== 'running') continue;
      const ending = this.#command();
      this.#inFlight.add(ending);
      await ending;
      this.#inFlight.delete(ending);
    }
  }

  async #command(): Promise<void> {
    let dice = this.#random();
    const { durable } = this.#options;
    if (durable && dice < FLUSH_SHARE) {
      await this.#flush();
      return;
    }
    dice -= FLUSH_SHARE;
    const range = this.#takeRange();
    if (dice < ZEROES_SHARE) await this.#timed(() => this.#zero(range));
    else if (dice < ZEROES_SHARE + WRITE_SHARE) await this.#timed(() => this.#write(range, false));
    else if (dice < ZEROES_SHARE + WRITE_SHARE + FUA_SHARE) {
      await this.#timed(() => this.#write(range, durable));
    } else await this.#timed(() => this.#read(range));
    this.#blocks.giveBack(range);
  }

  #takeRange(): BlockRange {
    for (;;) {
      const count = this.#rangeBlocks();
      const first = Math.floor(this.#random() * (this.#blocks.count - count + 1));
      if (this.#blocks.take({ first, count })) return { first, count };
    }
  }

  #rangeBlocks(): number {
    const dice = this.#random();
    if (dice < SINGLE_SHARE) return 1;
    if (dice > 1 - LARGE_SHARE) return LARGE_BLOCKS;
    return 2 + Math.floor(this.#random() * (MEDIUM_BLOCKS_MAX - 1));
  }

  async #write(range: BlockRange, fua: boolean): Promise<void> {
    const data = this.#blocks.renew(range);
    await this.#device.write(range.first * BLOCK_BYTES, data, { fua });
    this.#writtenBytes += data.length;
  }

  async #zero(range: BlockRange): Promise<void> {
    this.#blocks.clear(range);
    await this.#device.writeZeroes(range.first * BLOCK_BYTES, range.count * BLOCK_BYTES);
  }

  async #read(range: BlockRange): Promise<void> {
    const data = await this.#device.read(range.first * BLOCK_BYTES, range.count * BLOCK_BYTES);
    const differences = this.#blocks.differences(range, data);
    this.#verifyErrors += differences.length;
    for (const line of differences) this.#describe(line);
  }

  #flush(): Promise<void> {
    return this.#timed(() => this.#device.flush());
  }

  async #timed(run: () => Promise<void>): Promise<void> {
    const startMs = performance.now();
    try {
      await run();
    } catch (error) {
      this.#ioErrors++;
      this.#describe(error instanceof Error ? error.message : String(error));
    }
    const endMs = performance.now();
    this.#commands++;
    this.#longestStallMs = Math.max(this.#longestStallMs, endMs - startMs);
    this.#longestGapMs = Math.max(this.#longestGapMs, endMs - this.#lastEndMs);
    this.#lastEndMs = endMs;
  }

  #describe(problem: string): void {
    if (this.#problems.length < DESCRIBED_MAX) this.#problems.push(problem);
  }
}
