/**
 * A client's device as the kernel of its machine has it: commands outlive the process that
 * serves the device. Those that one leaves unanswered are given to the next as new ones, in any
 * order. The checker hears of every command, once.
 */
import { joinPayload, payloadOf } from '../../src/block/payload.js';
import type { RemoteDevice } from '../../src/client/remote-device.js';
import type { SessionRecord } from '../../src/client/session-record.js';
import { DstError, errnoOf } from '../../src/errors.js';
import { AtRisk } from './at-risk.js';
import { BLOCK_BYTES, decodeBlocks, encodeBlocks } from './blocks.js';
import { type Checker, Violation } from './checker.js';
import { ClientProcess, type ClientProcessOptions } from './client-process.js';
import type { SimulatedDisk } from './disk.js';
import { DISK_ERROR } from './disk-handle.js';
import { SLOW_DISK_MS } from './faults.js';
import type { History } from './history.js';
import type { VirtualClock } from './virtual-clock.js';

/** An injected error, and what a client says of one that it met on its own account. */
const DISK_FAILURES = new Set<string>([DISK_ERROR, 'DST_E_FLUSH_LOST']);

/** A command may lie on a slow disk when all is healed, and its connection be lost besides. */
const COMMAND_MS_MAX = SLOW_DISK_MS + 5_000;

/** Until the kernel has given a new process what the last one left unanswered. */
const REQUEUE_MS_MAX = 20;

export type ChangeName = 'write' | 'trim' | 'write zeroes';

/** The client said that acked writes may be lost, and they may be: nothing is promised then. */
export class Told extends Error {
  override readonly name = 'Told';
}

export interface KernelDeviceOptions
  extends Omit<ClientProcessOptions, 'log' | 'journal' | 'resume'> {
  readonly name: string;
  readonly clock: VirtualClock;
  readonly checker: Checker;
  readonly history: History;
  readonly disk: SimulatedDisk;
  /** Values that no write of the run has had before. */
  readonly nextValue: () => number;
  /** What a process is told that the last one has left, where that is not the truth. */
  readonly falsify?: (record: SessionRecord) => SessionRecord;
}

export class KernelDevice {
  readonly name: string;
  readonly #options: KernelDeviceOptions;
  readonly #atRisk: AtRisk;
  #process: ClientProcess;
  #record: SessionRecord | undefined;
  #takeover: 'none' | 'begun' | 'done' = 'none';
  #healedMs = Number.POSITIVE_INFINITY;
  #commandCount = 0;
  #waiting: (() => void)[] = [];
  commandsDone = 0;
  restarts = 0;

  constructor(options: KernelDeviceOptions) {
    this.name = options.name;
    this.#options = options;
    this.#atRisk = new AtRisk(options.clock, options.disk);
    this.#process = this.#start();
  }

  /** Resolves when the device can be used; rejects where the export refuses it for good. */
  async connected(): Promise<void> {
    await this.#process.device;
  }

  /** Another client is about to write in its place. */
  takeoverBegun(): void {
    this.#takeover = 'begun';
  }

  /** Another client writes in its place: what this one begins from now on must fail. */
  takenOver(): void {
    this.#takeover = 'done';
    this.#options.checker.fence(this.name);
  }

  /** From now on nothing keeps a command from ending soon. */
  healed(): void {
    this.#healedMs = this.#options.clock.nowMs();
  }

  /** The client's process is killed; what it leaves unanswered waits for the next one. */
  kill(): void {
    if (this.#process.dead) return;
    this.#options.history.add(`${this.name} killed`);
    this.#process.kill();
    this.#atRisk.processKilled();
  }

  /** Starts a process that resumes the session; does nothing where one runs. */
  serve(): void {
    if (!this.#process.dead) return;
    this.restarts++;
    this.#options.history.add(`${this.name} started again`);
    this.#process = this.#start();
    for (const served of this.#waiting.splice(0)) served();
  }

  /** Another number of lanes is wanted; a process that is not connected yet does not hear it. */
  chooseLanes(lanes: number): void {
    const { device } = this.#process;
    void device.then(({ session }) => session.chooseLanes(lanes)).catch(() => {});
  }

  async change(name: ChangeName, first: number, count: number, fua: boolean): Promise<void> {
    const { checker, nextValue } = this.#options;
    const values = Array.from({ length: count }, () => (name === 'write' ? nextValue() : 0));
    const write = checker.beginWrite(this.name, first, values);
    const offset = first * BLOCK_BYTES;
    const lengthBytes = count * BLOCK_BYTES;
    // Handed over for as long as the command takes, and then reused by the caller.
    const payload = payloadOf([encodeBlocks(values)]);
    const what = `${name}${fua ? ' with FUA' : ''}`;
    const atRisk = this.#atRisk.changing();
    const acked = await this.#run(what, [first, ...values], (device) => {
      if (name === 'write') return device.write(offset, payload, { fua });
      if (name === 'trim') return device.trim(offset, lengthBytes, { fua });
      return device.writeZeroes(offset, lengthBytes, { fua });
    });
    checker.endWrite(write, acked);
    if (acked && !fua) atRisk();
    for (const piece of payload.pieces) piece.fill(0xee);
  }

  async read(first: number, count: number): Promise<void> {
    const { checker } = this.#options;
    const read = checker.beginRead(first, count);
    let values: (number | undefined)[] = [];
    const answered = await this.#run('read', [first, count], async (device) => {
      const payload = await device.read(first * BLOCK_BYTES, count * BLOCK_BYTES);
      values = decodeBlocks(joinPayload(payload));
      payload.release();
      return values;
    });
    if (answered) checker.endRead(read, values);
    else checker.dropRead(read);
  }

  async flush(): Promise<boolean> {
    const flushed = this.#atRisk.flushing();
    const done = await this.#run('flush', [], (device) => device.flush());
    if (done) flushed();
    return done;
  }

  async close(): Promise<void> {
    // One that was refused has said so to its commands, and has nothing to close.
    const device = await this.#process.device.catch(() => undefined);
    await device?.close();
  }

  #start(): ClientProcess {
    const { history, name, random, falsify = (record) => record } = this.#options;
    const process = new ClientProcess({
      ...this.#options,
      random: random.fork(),
      log: history.log(`${name}:`),
      journal: {
        save: (record) => {
          this.#record = record;
        },
      },
      resume: this.#record && falsify(this.#record),
    });
    // What it inherits has been flushed once it is open.
    process.device.then(
      () => this.#atRisk.resumed(),
      () => {},
    );
    return process;
  }

  /** Whether the command ended well; throws a Violation where it ended as it may not, or late. */
  async #run(
    what: string,
    details: readonly number[],
    command: (device: RemoteDevice) => Promise<unknown>,
  ): Promise<boolean> {
    const { history, clock } = this.#options;
    const begunMs = clock.nowMs();
    const number = ++this.#commandCount;
    const begunLate = this.#takeover === 'done';
    history.add(`${this.name} #${number} ${what}`, ...details);
    let failure: DstError | undefined;
    try {
      const result = await this.#carryOut(command);
      history.add(`${this.name} #${number} done`, ...(Array.isArray(result) ? result : []));
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      failure = error;
      history.add(`${this.name} #${number} failed`, error.code, errnoOf(error));
    }
    this.commandsDone++;
    const whose = `${what}, #${number} of ${this.name},`;
    const waitedMs = clock.nowMs() - Math.max(begunMs, this.#healedMs);
    if (waitedMs > COMMAND_MS_MAX)
      throw new Violation(`${whose} took ${waitedMs} ms with all well`);
    if (failure !== undefined) this.#explain(failure, whose);
    else if (begunLate) throw new Violation(`${whose} ended well after it was taken over`);
    return failure === undefined;
  }

  /** The outcome of a command, which is given to one process after the other until one answers. */
  async #carryOut(command: (device: RemoteDevice) => Promise<unknown>): Promise<unknown> {
    const { clock, random } = this.#options;
    for (;;) {
      const process = this.#process;
      const answered = process.device.then(async (device) => {
        return process.dead ? undefined : { result: await command(device) };
      });
      const outcome = await Promise.race([answered, process.killed]);
      if (outcome !== undefined) return outcome.result;
      if (this.#process.dead) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      await clock.sleep(random.between(0, REQUEUE_MS_MAX));
    }
  }

  #explain(error: DstError, what: string): void {
    const { plan } = this.#options;
    if (error.code === 'DST_E_REPLAY_LOST' && this.#atRisk.mayBeLost) throw new Told(what);
    const explained =
      (DISK_FAILURES.has(error.code) && plan.disk.errorRate > 0) ||
      (error.code === 'DST_E_RESENDS' && plan.maxResends < Number.POSITIVE_INFINITY) ||
      (error.code === 'DST_E_TAKEN_OVER' && this.#takeover !== 'none' && errnoOf(error) === 'EIO');
    if (!explained) throw new Violation(`${what} failed for no good reason: ${error.message}`);
  }
}
