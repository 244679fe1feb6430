import { joinPayload, payloadOf } from '../../src/block/payload.js';
import { RemoteDevice } from '../../src/client/remote-device.js';
import type { SessionOptions } from '../../src/client/session.js';
import { SessionIdentity } from '../../src/client/session-identity.js';
import { DstError, errnoOf } from '../../src/errors.js';
import { BLOCK_BYTES, decodeBlocks, encodeBlocks } from './blocks.js';
import { type Checker, Violation } from './checker.js';
import { DISK_ERROR } from './disk-handle.js';
import { CHECKSUM, EXPORT_NAME } from './export-process.js';
import { SLOW_DISK_MS } from './faults.js';
import type { History } from './history.js';
import type { SimulatedNetwork } from './network.js';
import type { Plan } from './plan.js';
import type { Random } from './random.js';
import type { VirtualClock } from './virtual-clock.js';

/** An injected error, and what a client says of one that it met on its own account. */
const DISK_FAILURES = new Set<string>([DISK_ERROR, 'DST_E_FLUSH_LOST']);

const CONNECT_RETRY_MS = 300;

/** A command may lie on a slow disk when all is healed, and its connection be lost besides. */
const COMMAND_MS_MAX = SLOW_DISK_MS + 5_000;

export type ChangeName = 'write' | 'trim' | 'write zeroes';

export interface ClientProcessOptions {
  readonly name: string;
  readonly plan: Plan;
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly network: SimulatedNetwork;
  readonly checker: Checker;
  readonly history: History;
  /** Values that no write of the run has had before. */
  readonly nextValue: () => number;
}

/** A client whose every command the checker hears of. */
export class ClientProcess {
  readonly name: string;
  readonly #options: ClientProcessOptions;
  readonly #device: RemoteDevice;
  #takeover: 'none' | 'begun' | 'done' = 'none';
  #healedMs = Number.POSITIVE_INFINITY;
  #commandCount = 0;
  commandsDone = 0;

  private constructor(options: ClientProcessOptions, device: RemoteDevice) {
    this.name = options.name;
    this.#options = options;
    this.#device = device;
  }

  /** Tries until it is connected, or refused for good. */
  static async connect(
    options: ClientProcessOptions,
    takeover: boolean,
    replayBufferBytes: number,
  ): Promise<ClientProcess> {
    // The export may have let in an attempt that never heard of it.
    const identity = new SessionIdentity();
    for (;;) {
      try {
        return await ClientProcess.#open(options, { takeover, replayBufferBytes, identity });
      } catch (error) {
        if (!(error instanceof DstError)) throw error;
        options.history.add(`${options.name} not connected`, error.code);
        if (error.code === 'DST_E_TAKEN_OVER') throw error;
        await options.clock.sleep(CONNECT_RETRY_MS);
      }
    }
  }

  static async #open(
    options: ClientProcessOptions,
    own: Pick<SessionOptions, 'takeover' | 'replayBufferBytes' | 'identity'>,
  ): Promise<ClientProcess> {
    const { clock, random, network, plan, history, name } = options;
    const device = await RemoteDevice.connect({
      dial: (request) => network.dial(request),
      exportName: EXPORT_NAME,
      checksums: [CHECKSUM],
      readOnly: false,
      log: history.log(`${name}:`),
      clock,
      random: () => random.next(),
      resendTimeoutMs: plan.resendTimeoutMs,
      maxResends: plan.maxResends,
      ...own,
    });
    return new ClientProcess(options, device);
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

  async change(name: ChangeName, first: number, count: number, fua: boolean): Promise<void> {
    const { checker, nextValue } = this.#options;
    const values = Array.from({ length: count }, () => (name === 'write' ? nextValue() : 0));
    const write = checker.beginWrite(this.name, first, values);
    const offset = first * BLOCK_BYTES;
    const lengthBytes = count * BLOCK_BYTES;
    // Handed over for as long as the command takes, and then reused by the caller.
    const payload = payloadOf([encodeBlocks(values)]);
    const acked = await this.#run(`${name}${fua ? ' with FUA' : ''}`, [first, ...values], () => {
      if (name === 'write') return this.#device.write(offset, payload, { fua });
      if (name === 'trim') return this.#device.trim(offset, lengthBytes, { fua });
      return this.#device.writeZeroes(offset, lengthBytes, { fua });
    });
    checker.endWrite(write, acked);
    for (const piece of payload.pieces) piece.fill(0xee);
  }

  async read(first: number, count: number): Promise<void> {
    const { checker } = this.#options;
    const read = checker.beginRead(first, count);
    let values: (number | undefined)[] = [];
    const answered = await this.#run('read', [first, count], async () => {
      const payload = await this.#device.read(first * BLOCK_BYTES, count * BLOCK_BYTES);
      values = decodeBlocks(joinPayload(payload));
      payload.release();
      return values;
    });
    if (answered) checker.endRead(read, values);
    else checker.dropRead(read);
  }

  async flush(): Promise<boolean> {
    return this.#run('flush', [], () => this.#device.flush());
  }

  async close(): Promise<void> {
    await this.#device.close();
  }

  /** Whether the command ended well; throws a Violation where it ended as it may not, or late. */
  async #run(
    what: string,
    details: readonly number[],
    run: () => Promise<unknown>,
  ): Promise<boolean> {
    const { history, clock } = this.#options;
    const begunMs = clock.nowMs();
    const number = ++this.#commandCount;
    const begunLate = this.#takeover === 'done';
    history.add(`${this.name} #${number} ${what}`, ...details);
    let failure: DstError | undefined;
    try {
      const result = await run();
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

  #explain(error: DstError, what: string): void {
    const { plan } = this.#options;
    const explained =
      (DISK_FAILURES.has(error.code) && plan.disk.errorRate > 0) ||
      (error.code === 'DST_E_RESENDS' && plan.maxResends < Number.POSITIVE_INFINITY) ||
      (error.code === 'DST_E_TAKEN_OVER' && this.#takeover !== 'none' && errnoOf(error) === 'EIO');
    if (!explained) throw new Violation(`${what} failed for no good reason: ${error.message}`);
  }
}
