import type { DstError } from '../errors.js';
import type { Redialer } from './redialer.js';
import type { PathChange, StateLog } from './state-log.js';

/** What makes a link suspect. */
export interface Signs {
  /** An answer is late. */
  readonly overdue: boolean;
  /** A ping is. */
  readonly silent: boolean;
}

/** Whether a session's link is suspected: another one is dialled beside it then. */
export class Suspicion {
  readonly #states: StateLog;
  readonly #redialer: Redialer;
  #pathChange: PathChange | undefined;
  #suspected = false;

  constructor(states: StateLog, redialer: Redialer) {
    this.#states = states;
    this.#redialer = redialer;
  }

  get suspected(): boolean {
    return this.#suspected;
  }

  /** The link is another one, of which nothing is known. */
  reset(): void {
    this.#suspected = false;
    this.#pathChange = undefined;
  }

  /** Another way to the export may be better than the link's. */
  pathChanged(why: PathChange): void {
    this.#pathChange = why;
  }

  /** That way was tried, and led nowhere. */
  pathTried(): void {
    this.#pathChange = undefined;
  }

  /**
   * Dials beside the link while that is suspect, and stops when it no longer is; `refusal` is
   * that of another connection, if there was one.
   */
  review({ overdue, silent }: Signs, refusal?: DstError): void {
    const suspected = overdue || silent || this.#pathChange !== undefined;
    if (suspected && !this.#suspected) {
      this.#states.suspected(this.#pathChange ?? (overdue ? 'transaction' : 'ping'));
      this.#redialer.start();
    } else if (!suspected && this.#suspected) {
      this.#states.recovered(refusal);
      this.#redialer.stop();
    }
    this.#suspected = suspected;
  }
}
