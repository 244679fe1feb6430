import { ExportServer } from '../../src/export/server.js';
import type { SessionRules } from '../../src/export/session.js';
import type { ChecksumName } from '../../wasm/checksums.js';
import type { SimulatedDisk } from './disk.js';
import { type DiskHabits, DiskHandle } from './disk-handle.js';
import type { History } from './history.js';
import type { SimulatedNetwork } from './network.js';
import type { Random } from './random.js';
import { MortalClock, type VirtualClock } from './virtual-clock.js';

export const EXPORT_NAME = 'vol';
export const CHECKSUM: ChecksumName = 'crc32c';

const SHUTDOWN_GRACE_MS = 2_000;

/** As a service manager that loses patience. */
const SHUTDOWN_MS_MAX = 6_000;

export interface ExportProcessOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly network: SimulatedNetwork;
  readonly disk: SimulatedDisk;
  readonly habits: DiskHabits;
  readonly history: History;
  readonly leaseMs: number;
  readonly rules: SessionRules;
}

interface Running {
  readonly clock: MortalClock;
  readonly handle: DiskHandle;
  readonly server: ExportServer;
}

/** The process of an export, which is started, stopped and killed: at most one at a time. */
export class ExportProcess {
  readonly #options: ExportProcessOptions;
  #running: Running | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: ExportProcessOptions) {
    this.#options = options;
  }

  /** Does nothing where it runs. */
  start(): void {
    if (this.#running !== undefined) return;
    const { disk, habits, random, network, history, leaseMs, rules } = this.#options;
    const clock = new MortalClock(this.#options.clock);
    const handle = new DiskHandle(disk, clock, random.fork(), habits);
    const server = new ExportServer({
      stores: [{ name: EXPORT_NAME, device: handle }],
      checksums: [CHECKSUM],
      log: history.log('export:'),
      clock,
      leaseMs,
      rules,
    });
    server.attach(network.listen());
    this.#running = { clock, handle, server };
    history.add('export started');
  }

  /** Sessions may have so many lanes, until it is started again. */
  limitLanes(lanes: number): void {
    this.#running?.server.limitLanes(lanes);
  }

  /** SIGKILL: what the disk's cache holds stays. */
  kill(): void {
    if (this.#running === undefined) return;
    const { clock, handle } = this.#running;
    this.#running = undefined;
    clock.kill();
    this.#options.network.serverDied();
    handle.kill();
    this.#options.history.add('export killed');
  }

  /** The power goes, and with it what was not flushed. */
  crash(): void {
    this.kill();
    this.#options.disk.crash();
    this.#options.history.add('disk crashed');
  }

  /** SIGTERM: it ends in its own time, within reason. Resolves when it has ended. */
  async stop(): Promise<void> {
    if (this.#running === undefined) return;
    this.#stopping ??= this.#stop(this.#running);
    await this.#stopping;
  }

  /** Resolves when it is not about to end. */
  async stopped(): Promise<void> {
    await this.#stopping;
  }

  async #stop(running: Running): Promise<void> {
    this.#options.history.add('export stopping');
    await Promise.race([
      running.server.shutdown(SHUTDOWN_GRACE_MS),
      this.#options.clock.sleep(SHUTDOWN_MS_MAX),
    ]);
    this.#stopping = undefined;
    if (this.#running === running) this.kill();
  }
}
