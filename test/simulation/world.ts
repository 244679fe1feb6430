/**
 * One run: a client that works, an export on a disk, what goes wrong between them, and the
 * check that nothing was lost. Everything follows from the seed.
 */
import type { SessionRecord } from '../../src/client/session-record.js';
import { Checker, Violation } from './checker.js';
import { SimulatedDisk } from './disk.js';
import type { DiskHabits } from './disk-handle.js';
import { ExportProcess } from './export-process.js';
import { Faults } from './faults.js';
import { History } from './history.js';
import { KernelDevice, Told } from './kernel-device.js';
import { SimulatedNetwork } from './network.js';
import { makePlan, type Plan } from './plan.js';
import { Random } from './random.js';
import { VirtualClock } from './virtual-clock.js';
import { work } from './workload.js';

/** What can be taken away, to see that the checker misses it. */
export const SABOTAGES = [
  'fence',
  'table',
  'replay',
  'recorded ids',
  'recorded epoch',
  'flush at resume',
] as const;
export type Sabotage = (typeof SABOTAGES)[number];

/** What a client that resumes its session is told in place of what was recorded. */
const FALSE_RECORDS: Partial<Record<Sabotage, Partial<SessionRecord>>> = {
  'recorded ids': { transaction: 1 },
  'recorded epoch': { epoch: 0 },
  'flush at resume': { unflushed: false },
};

export interface Outcome {
  readonly seed: number;
  readonly failure: Error | undefined;
  /** It ended early: acked writes may be lost, and the client said so. */
  readonly told: boolean;
  /** How often a client's process was started again. */
  readonly restarts: number;
  readonly history: History;
  readonly commands: number;
  readonly virtualMs: number;
}

/** Once all is well again, every command ends within this time. */
const RECOVERY_MS_MAX = 120_000;

/** No run takes longer, whatever goes wrong in it. */
const RUN_MS_MAX = 3_600_000;

const BLOCKS_PER_READ = 4;
const LAST_WRITES = 3;
const FLUSH_TRIES_MAX = 3;

/** Runs a seed; nothing else may run on this thread until it has resolved. */
export async function simulate(seed: number, sabotage?: Sabotage): Promise<Outcome> {
  const world = new World(seed, sabotage);
  const unhandled: Error[] = [];
  const note = (reason: unknown) => unhandled.push(asError(reason));
  process.on('unhandledRejection', note);
  const failure = await world.run();
  // Only now does Node look for rejections that nobody has handled.
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  return {
    seed,
    failure: unhandled[0] ?? (failure instanceof Told ? undefined : failure),
    told: failure instanceof Told,
    history: world.history,
    commands: world.clients.reduce((sum, client) => sum + client.commandsDone, 0),
    restarts: world.clients.reduce((sum, client) => sum + client.restarts, 0),
    virtualMs: world.clock.nowMs(),
  };
}

class World {
  readonly clock = new VirtualClock();
  readonly history = new History(this.clock);
  readonly clients: KernelDevice[] = [];
  readonly #random: Random;
  readonly #plan: Plan;
  readonly #network: SimulatedNetwork;
  readonly #habits: DiskHabits;
  readonly #disk: SimulatedDisk;
  readonly #exporter: ExportProcess;
  readonly #checker: Checker;
  readonly #sabotage: Sabotage | undefined;
  #takeover: Promise<void> | undefined;
  #healed = false;
  #lastValue = 0;

  constructor(seed: number, sabotage: Sabotage | undefined) {
    const random = new Random(seed);
    const plan = makePlan(random.fork());
    this.#random = random;
    this.#plan = plan;
    this.#habits = { ...plan.disk };
    this.#checker = new Checker(plan.blocks);
    this.#network = new SimulatedNetwork(this.clock, random.fork(), plan.weather, plan.unheardRate);
    this.#sabotage = sabotage;
    this.#disk = new SimulatedDisk(plan.blocks, random.fork());
    this.#exporter = new ExportProcess({
      clock: this.clock,
      random: random.fork(),
      network: this.#network,
      disk: this.#disk,
      habits: this.#habits,
      history: this.history,
      leaseMs: plan.leaseMs,
      rules: { fence: sabotage !== 'fence', table: sabotage !== 'table' },
    });
  }

  /** Returns what went wrong. */
  async run(): Promise<Error | undefined> {
    let ended = false;
    let failure: Error | undefined;
    const scenario = this.#scenario().then(
      () => {
        ended = true;
      },
      (error: unknown) => {
        ended = true;
        failure = asError(error);
      },
    );
    try {
      await this.clock.runUntil(() => ended, RUN_MS_MAX);
    } catch (error) {
      return asError(error);
    }
    if (!ended) return new Violation('the run does not come to an end');
    await scenario;
    return failure;
  }

  async #scenario(): Promise<void> {
    this.#exporter.start();
    const client = await this.#connect('client');
    const faults = this.#makeFaults(client);
    const working = this.#work(client);
    const failing = faults.run().then(() => this.clock.sleep(this.#random.between(0, 10_000)));
    await Promise.race([working, failing]);
    await faults.heal();
    this.#healed = true;
    for (const each of this.clients) each.healed();
    await this.#within(Promise.all([working, this.#takeover]));
    await this.#within(this.#checkAll(this.clients.at(-1) ?? client));
  }

  #makeFaults(client: KernelDevice): Faults {
    return new Faults({
      plan: this.#plan,
      clock: this.clock,
      random: this.#random.fork(),
      network: this.#network,
      exporter: this.#exporter,
      habits: this.#habits,
      history: this.history,
      takeOver: () => {
        this.#takeover ??= this.#takeOver(client);
        // It is waited for at the end, and may fail before.
        this.#takeover.catch(() => {});
      },
      client,
    });
  }

  /** Another client comes, and works in this one's place. */
  async #takeOver(client: KernelDevice): Promise<void> {
    client.takeoverBegun();
    const other = await this.#connect('other client', true);
    client.takenOver();
    await this.#work(other);
  }

  async #connect(name: string, takeover = false): Promise<KernelDevice> {
    const falsehood = this.#sabotage && FALSE_RECORDS[this.#sabotage];
    const client = new KernelDevice({
      name,
      plan: this.#plan,
      clock: this.clock,
      random: this.#random.fork(),
      network: this.#network,
      checker: this.#checker,
      history: this.history,
      disk: this.#disk,
      nextValue: () => ++this.#lastValue,
      takeover,
      replayBufferBytes: this.#sabotage === 'replay' ? 0 : this.#plan.replayBufferBytes,
      falsify: (record) => ({ ...record, ...falsehood }),
    });
    await client.connected();
    if (this.#healed) client.healed();
    this.clients.push(client);
    return client;
  }

  async #work(client: KernelDevice): Promise<void> {
    const workers = Array.from({ length: this.#plan.workers }, () =>
      work(client, this.#plan, this.clock, this.#random.fork()),
    );
    await Promise.all(workers);
  }

  /** What was acked is there; and what was flushed or had FUA is, when all else is lost. */
  async #checkAll(client: KernelDevice): Promise<void> {
    await this.#readAll(client);
    await this.#flushAll(client);
    for (let i = 0; i < LAST_WRITES; i++) {
      await client.change('write', this.#random.below(this.#plan.blocks), 1, true);
    }
    for (const each of this.clients) await each.close();
    this.#exporter.crash();
    this.#exporter.start();
    const heir = await this.#connect('heir');
    await this.#readAll(heir);
    await heir.close();
  }

  /** The first flush may yet report an error of before. */
  async #flushAll(client: KernelDevice): Promise<void> {
    for (let tries = 0; tries < FLUSH_TRIES_MAX; tries++) if (await client.flush()) return;
    throw new Violation('no flush ends well, on a disk without errors');
  }

  async #readAll(client: KernelDevice): Promise<void> {
    const { blocks } = this.#plan;
    for (let first = 0; first < blocks; first += BLOCKS_PER_READ) {
      await client.read(first, Math.min(BLOCKS_PER_READ, blocks - first));
    }
  }

  async #within(promise: Promise<unknown>): Promise<void> {
    const late = this.clock.sleep(RECOVERY_MS_MAX).then(() => {
      throw new Violation(`commands had not ended ${RECOVERY_MS_MAX / 1000} s after all was well`);
    });
    await Promise.race([promise, late]);
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
