import type { Socket } from 'node:net';
import type { BufferPool } from '../../block/buffer-pool.js';
import type { BlockDevice } from '../../block/device.js';
import type { Clock, Timer } from '../../clock.js';
import { KERNEL_LINK_CHECK_INTERVAL_MS } from '../../limits.js';
import type { Log } from '../../log.js';
import type { FailureLog } from '../failure-log.js';
import type { InFlight } from '../in-flight.js';
import type { Incoming } from '../incoming.js';
import { ReplyWriter } from '../reply-writer.js';
import type { Session } from '../session.js';
import { type Link, Transmission } from '../transmission.js';
import type { LinkChanges } from './left-behind.js';

export interface KernelLinkOptions {
  /** Our end of a socket pair. */
  readonly incoming: Incoming;
  /** Its descriptor. */
  readonly fd: number;
  /** Calls `giveUp` of all connections whose end the kernel has shut. */
  readonly lookForHangUps: () => void;
  readonly device: BlockDevice;
  readonly session: Session;
  readonly own: InFlight;
  readonly shared: InFlight;
  /** Counts what is in flight of connections that are gone. */
  readonly behind: InFlight;
  readonly changes: LinkChanges;
  /** What writes' payloads are received into. */
  readonly pool: BufferPool;
  readonly failures: FailureLog;
  readonly clock: Clock;
  readonly log: Log;
  readonly onClose: (link: KernelLink) => void;
}

/**
 * One connection with the kernel's NBD driver, which begins in the transmission phase: what
 * other clients negotiate, the kernel was told by netlink.
 *
 * It ends when the kernel says NBD_CMD_DISC (the device is being detached), or just shuts its
 * end (it has given this connection up, and sends what was unanswered anew on another). Answers
 * are of no use to it then, so that what is in flight ends with nobody to tell. And what it sent
 * before and nobody has read must never be executed: newer data may be where that would go.
 */
export class KernelLink implements Link {
  readonly sinceMs: number;
  readonly fd: number;
  readonly #socket: Socket;
  readonly #lookForHangUps: () => void;
  readonly #behind: InFlight;
  readonly #changes: LinkChanges;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #writer: ReplyWriter;
  readonly #transmission: Transmission;
  #check: Timer | undefined;
  #givenUp = false;

  constructor(options: KernelLinkOptions) {
    const { device, session, own, shared, pool, failures, log } = options;
    const { socket } = options.incoming;
    this.#socket = socket;
    this.fd = options.fd;
    this.#lookForHangUps = options.lookForHangUps;
    this.#behind = options.behind;
    this.#changes = options.changes;
    this.#clock = options.clock;
    this.#log = log;
    this.sinceMs = options.clock.nowMs();
    const writer = new ReplyWriter(socket);
    this.#writer = writer;
    const parts = { device, session, own, shared, writer, pool, failures, log };
    this.#transmission = new Transmission({
      ...parts,
      link: this,
      hungUp: () => this.#hungUp(),
      run: this.#changes.run,
    });
    options.incoming.deliverTo(this.#transmission);
    socket.on('drain', () => this.#transmission.proceed());
    socket.on('end', () => this.destroy());
    socket.on('error', (error) => log.debug({ err: error }, 'the kernel broke a connection off'));
    socket.on('close', () => {
      this.#check?.cancel();
      this.giveUp();
      this.#transmission.abandon();
      this.#writer.closed();
      options.onClose(this);
    });
  }

  /** The kernel has said that it lets go of the device. */
  get disconnected(): boolean {
    return this.#transmission.disconnected;
  }

  /**
   * The kernel has shut its end: what comes anew of what is in flight may join it, and finds
   * room. What there still is to be read is looked through for NBD_CMD_DISC.
   */
  giveUp(): void {
    if (this.#givenUp) return;
    this.#givenUp = true;
    this.#changes.leave();
    // By then what had joined others' changes has left its room.
    setImmediate(() => this.#transmission.leaveBehind(this.#behind));
  }

  destroy(): void {
    this.giveUp();
    this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
    this.#checkLater();
  }

  resume(): void {
    this.#check?.cancel();
    this.#socket.resume();
  }

  drop(reason: string): void {
    this.#log.error(`a connection with the kernel is ended: ${reason}`);
    this.destroy();
  }

  finished(): void {
    this.#writer.flush();
    this.#socket.destroySoon();
  }

  /**
   * A socket that nobody reads from does not tell of its end. In a long outage all connections
   * are like that, and the kernel fails every command when it is left without one for too long.
   */
  #checkLater(): void {
    this.#check = this.#clock.after(KERNEL_LINK_CHECK_INTERVAL_MS, () => {
      if (this.#hungUp()) this.#transmission.proceed();
      else this.#checkLater();
    });
  }

  #hungUp(): boolean {
    this.#lookForHangUps();
    return this.#givenUp || this.#socket.destroyed;
  }
}
