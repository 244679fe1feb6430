import type { Clock, Timer } from '../clock.js';
import {
  CONNECT_TIMEOUT_MS,
  DIAL_ATTEMPT_TIMEOUT_MS,
  DIAL_ATTEMPTS_AT_ONCE_MAX,
  DIAL_OVERLAP_MS,
  PATIENT_DIAL_EVERY,
  REDIAL_DELAY_IDLE_MAX_MS,
  REDIAL_DELAY_MAX_MS,
  REDIAL_DELAY_MIN_MS,
} from '../limits.js';
import type { DialRequest } from './dial.js';

export interface RedialerOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** Whether I/O waits for a connection. */
  readonly urgent: () => boolean;
  /**
   * Makes one attempt. Resolves when it has ended, having dealt with what came of it; should
   * end soon when the request's signal is aborted.
   */
  readonly attempt: (request: DialRequest) => Promise<void>;
}

/**
 * Dials again and again, from `start` to `stop`: the next attempt does not wait for the last,
 * as one that began while a link was down may not notice for long that it is up again.
 */
export class Redialer {
  readonly #options: RedialerOptions;
  /** The attempts under way, oldest first, and whether each is a patient one. */
  readonly #pending = new Map<AbortController, boolean>();
  #running = false;
  /** Nothing has been dialled since the last connection was of use. */
  #fresh = true;
  #timer: Timer | undefined;
  #delayMs = REDIAL_DELAY_MIN_MS;
  #attempts = 0;

  constructor(options: RedialerOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Begins to dial: at once, unless the last connections were of no use. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    if (this.#fresh) this.#attempt();
    else this.#arm(this.#backOff());
  }

  /** Ends it, and aborts the attempts that are pending. */
  stop(): void {
    this.#running = false;
    this.#timer?.cancel();
    for (const controller of this.#pending.keys()) controller.abort();
    this.#pending.clear();
  }

  /** I/O has begun to wait: a pause that was long because none did ends. */
  hurry(): void {
    if (!this.#running || this.#delayMs <= REDIAL_DELAY_MAX_MS) return;
    this.#delayMs = REDIAL_DELAY_MAX_MS;
    this.#attempt();
  }

  /**
   * The last connection was of use. Not said when it is made: one that dies right after its
   * WELCOME, again and again, would be redialled at full speed.
   */
  succeeded(): void {
    this.#fresh = true;
    this.#delayMs = REDIAL_DELAY_MIN_MS;
  }

  #abortOldest(): void {
    for (const [controller, patient] of this.#pending) {
      if (patient) continue;
      this.#pending.delete(controller);
      controller.abort();
      return;
    }
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, () => this.#attempt());
  }

  /** The next delay: doubled each time, jittered so that many clients do not come as one. */
  #backOff(): number {
    const maxMs = this.#options.urgent() ? REDIAL_DELAY_MAX_MS : REDIAL_DELAY_IDLE_MAX_MS;
    const delayMs = Math.min(this.#delayMs, maxMs);
    this.#delayMs = Math.min(delayMs * 2, maxMs);
    return delayMs * (0.5 + this.#options.random() / 2);
  }

  #attempt(): void {
    this.#fresh = false;
    const pauseMs = this.#delayMs > REDIAL_DELAY_MAX_MS ? this.#delayMs : DIAL_OVERLAP_MS;
    this.#arm(pauseMs * (0.5 + this.#options.random() / 2));
    // The oldest knocks least often by now: each of its knocks doubles the wait for the next.
    if (this.#pending.size >= DIAL_ATTEMPTS_AT_ONCE_MAX) this.#abortOldest();
    const controller = new AbortController();
    // On a line with a long delay no hasty attempt would ever be through.
    const due = this.#attempts % PATIENT_DIAL_EVERY === PATIENT_DIAL_EVERY - 1;
    const patient = due && ![...this.#pending.values()].includes(true);
    this.#pending.set(controller, patient);
    const ended = () => {
      if (!this.#pending.delete(controller)) return;
      if (this.#running && this.#pending.size === 0) this.#arm(this.#backOff());
    };
    const { signal } = controller;
    const timeoutMs = patient ? CONNECT_TIMEOUT_MS : DIAL_ATTEMPT_TIMEOUT_MS;
    const request = { timeoutMs, signal, attempt: this.#attempts++ };
    void this.#options.attempt(request).finally(ended);
  }
}
