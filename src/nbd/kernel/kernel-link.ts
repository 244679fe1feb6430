import type { Socket } from 'node:net';
import type { BlockDevice } from '../../block/device.js';
import type { Clock, Timer } from '../../clock.js';
import { KERNEL_LINK_CHECK_INTERVAL_MS } from '../../limits.js';
import type { Log } from '../../log.js';
import type { FailureLog } from '../failure-log.js';
import type { InFlight } from '../in-flight.js';
import { ReplyWriter } from '../reply-writer.js';
import type { Session } from '../session.js';
import { type Link, Transmission } from '../transmission.js';

export interface KernelLinkOptions {
  /** Our end of a socket pair, with `allowHalfOpen`. */
  readonly socket: Socket;
  /** Whether the kernel has ended its half; asked only while nothing is read. */
  readonly hungUp: () => boolean;
  readonly device: BlockDevice;
  readonly session: Session;
  readonly own: InFlight;
  readonly shared: InFlight;
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
 * are of no use to it then, so that what is in flight ends with nobody to tell.
 */
export class KernelLink implements Link {
  readonly sinceMs: number;
  readonly #socket: Socket;
  readonly #hungUp: () => boolean;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #writer: ReplyWriter;
  readonly #transmission: Transmission;
  #check: Timer | undefined;

  constructor(options: KernelLinkOptions) {
    const { device, session, own, shared, failures, log, socket } = options;
    this.#socket = socket;
    this.#hungUp = options.hungUp;
    this.#clock = options.clock;
    this.#log = log;
    this.sinceMs = options.clock.nowMs();
    const writer = new ReplyWriter(socket);
    this.#writer = writer;
    const parts = { device, session, own, shared, writer, failures, log };
    this.#transmission = new Transmission({ ...parts, link: this });
    socket.on('data', (chunk: Buffer) => this.#transmission.receive(chunk));
    socket.on('drain', () => this.#transmission.proceed());
    socket.on('end', () => socket.destroy());
    socket.on('error', (error) => log.debug({ err: error }, 'the kernel broke a connection off'));
    socket.on('close', () => {
      this.#check?.cancel();
      this.#transmission.abandon();
      this.#writer.closed();
      options.onClose(this);
    });
  }

  /** The kernel has said that it lets go of the device. */
  get disconnected(): boolean {
    return this.#transmission.disconnected;
  }

  destroy(): void {
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
    this.#socket.destroy();
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
      if (this.#hungUp()) this.#socket.destroy();
      else this.#checkLater();
    });
  }
}
