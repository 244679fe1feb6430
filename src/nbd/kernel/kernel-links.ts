import { closeSync } from 'node:fs';
import { BufferPool } from '../../block/buffer-pool.js';
import type { BlockDevice } from '../../block/device.js';
import type { Clock, Timer } from '../../clock.js';
import {
  KERNEL_LINK_USEFUL_AFTER_MS,
  KERNEL_MEND_DELAY_MAX_MS,
  KERNEL_MEND_DELAY_MIN_MS,
  NBD_BRIDGE_BYTES_IN_FLIGHT_MAX,
  NBD_BRIDGE_COMMANDS_IN_FLIGHT_MAX,
} from '../../limits.js';
import type { Log } from '../../log.js';
import { FailureLog } from '../failure-log.js';
import { InFlight } from '../in-flight.js';
import type { Session } from '../session.js';
import { devicePath } from './device-name.js';
import type { HungUp } from './hang-up.js';
import { KernelLink } from './kernel-link.js';
import { LeftBehind, LinkChanges } from './left-behind.js';
import { type SocketPair, socketPair } from './socket-pair.js';

/** Hands the kernel its ends of connections. */
export type Give = (sockets: readonly number[]) => Promise<void>;

export interface KernelLinksOptions {
  readonly index: number;
  /** How many the kernel has at a time. */
  readonly connections: number;
  readonly device: BlockDevice;
  readonly session: Session;
  /** Gives the kernel connections for those that have died. */
  readonly replace: Give;
  /** Whether the kernel still has the device; asked when it took no connections. */
  readonly isConnected: () => Promise<boolean>;
  /** The kernel has let go of the device, and not by our doing. */
  readonly onLetGo: () => void;
  readonly hungUp: HungUp;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The connections of one device with the kernel.
 *
 * The kernel gives up a connection that leaves a command unanswered for 30 s. Its commands come
 * again on another one, and a new connection takes its place at once: without any, the kernel
 * would fail all commands when the dead-connection timeout has passed. What the old one had in
 * flight goes on beside the bounds of the others, so that they have room for what comes again.
 * There is a bound for that as well: what is beyond it keeps its share of the others'.
 */
export class KernelLinks {
  readonly #options: KernelLinksOptions;
  readonly #failures: FailureLog;
  readonly #links = new Set<KernelLink>();
  readonly #shared = new InFlight(
    NBD_BRIDGE_COMMANDS_IN_FLIGHT_MAX,
    NBD_BRIDGE_BYTES_IN_FLIGHT_MAX,
  );
  readonly #behind = new InFlight(
    NBD_BRIDGE_COMMANDS_IN_FLIGHT_MAX,
    NBD_BRIDGE_BYTES_IN_FLIGHT_MAX,
  );
  readonly #leftBehind = new LeftBehind();
  readonly #pool = new BufferPool();
  #kept = false;
  #mending = false;
  #mendTimer: Timer | undefined;
  #mendDelayMs = 0;

  constructor(options: KernelLinksOptions) {
    this.#options = options;
    this.#failures = new FailureLog(options.log, options.clock);
  }

  /** What is in flight, that of connections that are gone included. */
  get inFlight(): Pick<InFlight, 'commands' | 'bytes'> {
    return {
      commands: this.#shared.commands + this.#behind.commands,
      bytes: this.#shared.bytes + this.#behind.bytes,
    };
  }

  /** Makes all connections for the first time. Rejects as `give` does; then there is none. */
  open(give: Give): Promise<void> {
    return this.#handOver(this.#options.connections, give);
  }

  /** From now on a connection that the kernel gives up is replaced. */
  keep(): void {
    this.#kept = true;
    this.#mendSoon();
  }

  /** From now on none is. */
  keepNoMore(): void {
    this.#kept = false;
    this.#mendTimer?.cancel();
    this.#mendTimer = undefined;
  }

  destroy(): void {
    for (const link of this.#links) this.#drop(link);
  }

  async #handOver(count: number, give: Give): Promise<void> {
    const kernelFds: number[] = [];
    const links: KernelLink[] = [];
    try {
      for (let i = 0; i < count; i++) {
        const pair = await socketPair();
        kernelFds.push(pair.kernelFd);
        // Served from now on: the kernel may ask before it says that it has them.
        links.push(this.#serve(pair));
      }
      await give(kernelFds);
    } catch (error) {
      for (const link of links) this.#drop(link);
      throw error;
    } finally {
      // Those that it took it has opened itself; those that it did not take end here.
      for (const fd of kernelFds) closeSync(fd);
    }
  }

  #serve({ incoming, ownFd }: SocketPair): KernelLink {
    const { device, session, connections, clock, log } = this.#options;
    const link = new KernelLink({
      ...{ incoming, device, session, clock, log },
      fd: ownFd,
      lookForHangUps: () => this.#lookForHangUps(),
      own: new InFlight(
        Math.ceil(NBD_BRIDGE_COMMANDS_IN_FLIGHT_MAX / connections),
        Math.ceil(NBD_BRIDGE_BYTES_IN_FLIGHT_MAX / connections),
      ),
      shared: this.#shared,
      behind: this.#behind,
      changes: new LinkChanges(this.#leftBehind),
      pool: this.#pool,
      failures: this.#failures,
      onClose: (closed) => this.#closed(closed),
    });
    this.#links.add(link);
    return link;
  }

  /** All at once: what the kernel sends anew on one connection it has left on another. */
  #lookForHangUps(): void {
    for (const link of this.#options.hungUp(this.#links)) link.giveUp();
  }

  #drop(link: KernelLink): void {
    this.#links.delete(link);
    link.destroy();
  }

  #closed(link: KernelLink): void {
    if (!this.#links.delete(link) || !this.#kept) return;
    const { onLetGo, index, clock, log } = this.#options;
    if (link.disconnected) {
      onLetGo();
      return;
    }
    if (clock.nowMs() - link.sinceMs < KERNEL_LINK_USEFUL_AFTER_MS) {
      // One that the kernel had no use for: it has not noticed yet that another one has died.
      this.#slowDown();
    } else {
      this.#mendDelayMs = 0;
      log.info(
        { inFlight: this.inFlight.commands },
        `the kernel gave up a connection of ${devicePath(index)}, as it does after 30 s without an answer: it gets another`,
      );
    }
    this.#mendSoon();
  }

  #slowDown(): void {
    const doubled = Math.max(this.#mendDelayMs * 2, KERNEL_MEND_DELAY_MIN_MS);
    this.#mendDelayMs = Math.min(doubled, KERNEL_MEND_DELAY_MAX_MS);
  }

  get #missing(): number {
    return this.#options.connections - this.#links.size;
  }

  #mendSoon(): void {
    const busy = this.#mending || this.#mendTimer !== undefined;
    if (!this.#kept || busy || this.#missing === 0) return;
    this.#mendTimer = this.#options.clock.after(this.#mendDelayMs, () => {
      this.#mendTimer = undefined;
      void this.#mend();
    });
  }

  async #mend(): Promise<void> {
    const { replace, isConnected, onLetGo, log } = this.#options;
    this.#mending = true;
    try {
      await this.#handOver(this.#missing, replace);
    } catch (error) {
      if (this.#kept && !(await isConnected())) onLetGo();
      else log.warn({ err: error }, 'the kernel did not take a connection: trying again');
      this.#slowDown();
    }
    this.#mending = false;
    this.#mendSoon();
  }
}
