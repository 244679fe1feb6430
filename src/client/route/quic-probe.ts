import { backgroundClock, type Clock, type Timer } from '../../clock.js';
import { DstError } from '../../errors.js';
import {
  CONNECT_TIMEOUT_MS,
  QUIC_PROBE_INTERVAL_MAX_MS,
  QUIC_PROBE_INTERVAL_MS,
} from '../../limits.js';
import type { Connection } from '../../transport/transport.js';
import type { Dial } from '../dial.js';

export interface QuicProbeOptions {
  readonly quic: Dial;
  /** Whether a connection over QUIC would be of use now. */
  readonly wanted: () => boolean;
  /** Takes a connection that was made. */
  readonly reached: (connection: Connection) => void;
  readonly intervalMs?: number;
  readonly clock?: Clock;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

/**
 * Looks now and then whether QUIC works again for a session that fell back from it: each
 * QUIC_PROBE_INTERVAL_MS at first, and half as often after each look, up to
 * QUIC_PROBE_INTERVAL_MAX_MS, also after one that succeeded: a network on which QUIC comes and
 * goes must not move a session each minute. An interval spent on QUIC makes up for all that.
 *
 * Runs from the start until `stop`; keeps no process alive.
 */
export class QuicProbe {
  readonly #options: QuicProbeOptions;
  readonly #intervalMs: number;
  readonly #clock: Clock;
  readonly #ending = new AbortController();
  #delayMs: number;
  #attempts = 0;
  #timer: Timer | undefined;

  constructor(options: QuicProbeOptions) {
    this.#options = options;
    this.#clock = options.clock ?? backgroundClock;
    this.#intervalMs = options.intervalMs ?? QUIC_PROBE_INTERVAL_MS;
    this.#delayMs = this.#intervalMs;
    this.#arm();
  }

  /** The network is another one: looks as often as at the start again. */
  startAfresh(): void {
    this.#delayMs = this.#intervalMs;
    // Without a timer a look is under way, which arms it.
    if (this.#timer !== undefined) this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#ending.abort();
  }

  #arm(): void {
    this.#timer?.cancel();
    const { random = Math.random } = this.#options;
    const delayMs = this.#delayMs * (0.5 + random() / 2);
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      void this.#tick();
    });
  }

  async #tick(): Promise<void> {
    if (this.#options.wanted()) {
      this.#delayMs = Math.min(
        2 * this.#delayMs,
        Math.max(this.#intervalMs, QUIC_PROBE_INTERVAL_MAX_MS),
      );
      await this.#look();
    } else {
      this.#delayMs = this.#intervalMs;
    }
    if (!this.#ending.signal.aborted) this.#arm();
  }

  async #look(): Promise<void> {
    const { signal } = this.#ending;
    let connection: Connection;
    try {
      connection = await this.#options.quic({
        timeoutMs: CONNECT_TIMEOUT_MS,
        signal,
        attempt: this.#attempts++,
      });
    } catch (error) {
      if (error instanceof DstError) return;
      throw error;
    }
    if (signal.aborted || !this.#options.wanted()) {
      connection.close('it is not wanted any more');
      return;
    }
    this.#options.reached(connection);
  }
}
