import type { Clock, Timer } from '../clock.js';
import { DstError } from '../errors.js';

/** How long a session may be without a connection that is of any use. */
export class OutageLimit {
  readonly #clock: Clock;
  readonly #maxOutageMs: number;
  readonly #exceeded: (reason: DstError) => void;
  #timer: Timer | undefined;

  /** `exceeded` is called, with DST_E_OUTAGE, when an outage has lasted for `maxOutageMs`. */
  constructor(clock: Clock, maxOutageMs: number, exceeded: (reason: DstError) => void) {
    this.#clock = clock;
    this.#maxOutageMs = maxOutageMs;
    this.#exceeded = exceeded;
  }

  /** An outage begins, or goes on. */
  begin(): void {
    if (this.#maxOutageMs === Number.POSITIVE_INFINITY || this.#timer !== undefined) return;
    this.#timer = this.#clock.after(this.#maxOutageMs, () => {
      this.#timer = undefined;
      this.#exceeded(outage(this.#maxOutageMs));
    });
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

function outage(maxOutageMs: number): DstError {
  return new DstError(
    'DST_E_OUTAGE',
    `the export could not be reached for ${maxOutageMs / 1000} s, the longest outage allowed: check it and the network, then connect again`,
  );
}
