import type { DiskHabits } from './disk-handle.js';
import type { ExportProcess } from './export-process.js';
import type { History } from './history.js';
import type { KernelDevice } from './kernel-device.js';
import type { SimulatedNetwork } from './network.js';
import type { FaultName, Plan } from './plan.js';
import type { Random } from './random.js';
import type { VirtualClock } from './virtual-clock.js';

/** What a command takes at most on a disk that is slow: longer than any timeout. */
export const SLOW_DISK_MS = 10_000;

export interface FaultsOptions {
  readonly plan: Plan;
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly network: SimulatedNetwork;
  readonly exporter: ExportProcess;
  readonly habits: DiskHabits;
  readonly history: History;
  readonly takeOver: () => void;
  readonly client: KernelDevice;
}

/** What goes wrong, one fault after another, until all of it is healed. */
export class Faults {
  readonly #options: FaultsOptions;
  #healed = false;
  /** How each fault begins. */
  readonly #begin: Record<FaultName, () => void> = {
    cut: () => this.#cut(),
    silence: () => this.#options.network.silence(this.#outageMs()),
    stall: () => this.#stall(this.#options.random.magnitude(200, 20_000)),
    'stall and dial trouble': () => this.#stallWhileNobodyConnects(),
    'dial trouble': () => this.#dialTrouble(this.#outageMs()),
    'slow disk': () => this.#slowDisk(),
    'slow disk and cut': () => {
      this.#slowDisk();
      this.#later(this.#options.random.between(0, 500), () => this.#cut());
    },
    'other lanes': () => this.#otherLanes(),
    'kill export': () => {
      this.#options.exporter.kill();
      this.#startLater();
    },
    'crash export': () => {
      this.#options.exporter.crash();
      // A replay that the disk refuses has no promise.
      this.#options.habits.errorRate = 0;
      this.#startLater();
    },
    'restart export': () => {
      void this.#options.exporter.stop().then(() => this.#startLater());
    },
    'kill client': () => this.#killClient(),
    'take over': () => this.#options.takeOver(),
  };

  constructor(options: FaultsOptions) {
    this.#options = options;
  }

  /** Resolves when the last fault of the plan has begun, or when all has been healed. */
  async run(): Promise<void> {
    const { plan, clock, random, history } = this.#options;
    for (let i = 0; i < plan.faultCount; i++) {
      await clock.sleep(random.between(0, 2 * plan.faultIntervalMs));
      if (this.#healed) return;
      const fault = random.pick(plan.faults);
      history.add(`fault: ${fault}`);
      this.#begin[fault]();
    }
  }

  /** The export runs and can be reached, and the disk is quick again. */
  async heal(): Promise<void> {
    const { network, exporter, habits, history, client } = this.#options;
    this.#healed = true;
    history.add('healed');
    Object.assign(network.weather, { lossRate: 0, stallRate: 0, silentUntilMs: 0 });
    network.dialTrouble = 'none';
    Object.assign(habits, { slowRate: 0, errorRate: 0 });
    await exporter.stopped();
    exporter.start();
    client.serve();
  }

  #cut(): void {
    const { network, plan, random } = this.#options;
    const line = network.lines.at(-1 - random.below(1 + plan.lanes));
    line?.cut(random.pick(['both', 'client', 'client', 'export', 'neither']));
  }

  /** Holds up some streams of the connections that there are. */
  #stall(durationMs: number): void {
    const { network, random } = this.#options;
    for (const line of network.lines) {
      for (let i = 1 + random.below(4); i > 0; i--) line.stall(random.below(64), durationMs);
    }
  }

  /** What is resent must go out on the same connection, and the first copy comes late. */
  #stallWhileNobodyConnects(): void {
    const { network, random } = this.#options;
    const durationMs = random.between(4_000, 15_000);
    for (const line of network.lines) line.stallRequests(durationMs);
    this.#dialTrouble(durationMs + 2_000);
  }

  #dialTrouble(durationMs: number): void {
    const { network, random } = this.#options;
    network.dialTrouble = random.pick(['refused', 'silent']);
    this.#later(durationMs, () => {
      network.dialTrouble = 'none';
    });
  }

  /** Commands that begin in the next seconds may take longer than any timeout. */
  #slowDisk(): void {
    const { plan, habits, random } = this.#options;
    Object.assign(habits, { slowRate: random.pick([0.3, 0.8]), slowMsMax: SLOW_DISK_MS });
    this.#later(random.between(200, 4_000), () => {
      const { slowRate, slowMsMax } = plan.disk;
      Object.assign(habits, { slowRate, slowMsMax });
    });
  }

  /** On one end or the other; what is in flight must not notice. */
  #otherLanes(): void {
    const { client, exporter, random } = this.#options;
    const lanes = 1 + random.below(4);
    if (random.chance(0.5)) client.chooseLanes(lanes);
    else exporter.limitLanes(lanes);
  }

  #killClient(): void {
    const { client } = this.#options;
    client.kill();
    this.#later(this.#downMs(), () => client.serve());
  }

  #startLater(): void {
    this.#later(this.#downMs(), () => this.#options.exporter.start());
  }

  /** How long a process stays away. */
  #downMs(): number {
    const { random } = this.#options;
    return random.pick([0, random.magnitude(10, 10_000)]);
  }

  #outageMs(): number {
    return this.#options.random.magnitude(100, 20_000);
  }

  /** Ends or goes on with a fault, unless all has been healed by then. */
  #later(delayMs: number, task: () => void): void {
    this.#options.clock.after(delayMs, () => {
      if (!this.#healed) task();
    });
  }
}
