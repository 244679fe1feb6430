import { type Clock, systemClock } from '../clock.js';
import { DstError, errnoOf } from '../errors.js';
import { NBD_FAILURE_CODES_MAX, NBD_FAILURE_LOG_INTERVAL_MS } from '../limits.js';
import type { Log } from '../log.js';
import type { Request } from './request.js';
import { commandName } from './validate.js';

interface Repeats {
  readonly loggedMs: number;
  unlogged: number;
}

/**
 * Logs commands that failed. A device that is gone fails every command, thousands a second: of
 * one kind of failure there is a line at once, and then one an interval with the count of those
 * between.
 */
export class FailureLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #repeats = new Map<string, Repeats>();

  constructor(log: Log, clock: Clock = systemClock) {
    this.#log = log;
    this.#clock = clock;
  }

  failed(request: Request, error: unknown): void {
    const { offset, lengthBytes } = request;
    const command = commandName(request.command);
    if (!(error instanceof DstError)) {
      this.#log.error({ err: error, command, offset, lengthBytes }, 'a command broke the device');
      return;
    }
    const facts = { code: error.code, errno: errnoOf(error), command, offset, lengthBytes };
    // ENOTSUP is how a device declines a fast zero: an answer, not a failure.
    if (error.errno === 'ENOTSUP') {
      this.#log.debug(facts, error.message);
      return;
    }
    const nowMs = this.#clock.nowMs();
    const repeats = this.#repeats.get(error.code);
    if (repeats !== undefined && nowMs < repeats.loggedMs + NBD_FAILURE_LOG_INTERVAL_MS) {
      repeats.unlogged += 1;
      return;
    }
    if (this.#repeats.size >= NBD_FAILURE_CODES_MAX) this.#repeats.clear();
    this.#repeats.set(error.code, { loggedMs: nowMs, unlogged: 0 });
    const unlogged = repeats?.unlogged ?? 0;
    this.#log.warn(unlogged === 0 ? facts : { ...facts, unlogged }, error.message);
  }
}
