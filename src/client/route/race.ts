import type { Clock, Timer } from '../../clock.js';
import { DstError } from '../../errors.js';
import type { Connection } from '../../transport/transport.js';
import type { Dial, DialRequest } from '../dial.js';

export interface RaceOptions {
  readonly first: Dial;
  readonly second: Dial;
  readonly request: DialRequest;
  readonly clock: Clock;
  /** The second starts so much later than the first, or once that has failed. */
  readonly headStartMs: number;
  /** When the second is ready it is held back until it has been so for so long, ... */
  readonly holdMs: number;
  /** ... and until the first has failed or has had so long. */
  readonly windowMs: number;
  /** Failures of the first that end the race: the second would only meet the same. */
  readonly isFinal: (failure: DstError) => boolean;
}

/** What a race ends with; the failures are those so far, of the first and of the second. */
export interface RaceOutcome {
  readonly winner: 'first' | 'second' | 'nobody';
  readonly connection?: Connection;
  readonly failures: { readonly first?: DstError; readonly second?: DstError };
  /** How long the first took to fail, where it has; ms. */
  readonly firstFailedAfterMs?: number;
}

/**
 * Dials two transports, one a little after the other, and keeps one connection: the first's,
 * unless that fails or takes too long while the second's is ready. The other attempt is called
 * off, and a connection that comes of it all the same is closed.
 *
 * Rejects with DST_E_ABORTED when the request's signal is aborted.
 */
export function race(options: RaceOptions): Promise<RaceOutcome> {
  return new Promise((resolve, reject) => new Race(options, resolve, reject).start());
}

class Race {
  readonly #options: RaceOptions;
  readonly #startMs: number;
  readonly #dialling = new AbortController();
  readonly #resolve: (outcome: RaceOutcome) => void;
  readonly #reject: (error: unknown) => void;
  readonly #failures: { first?: DstError; second?: DstError } = {};
  #firstFailedAfterMs: number | undefined;
  #secondStarted = false;
  /** The second's connection, while it is held back. */
  #held: Connection | undefined;
  #heldSinceMs = 0;
  #timer: Timer | undefined;
  #over = false;

  constructor(
    options: RaceOptions,
    resolve: (outcome: RaceOutcome) => void,
    reject: (error: unknown) => void,
  ) {
    this.#options = options;
    this.#startMs = options.clock.nowMs();
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { request, headStartMs, clock } = this.#options;
    request.signal.addEventListener('abort', this.#abort, { once: true });
    if (request.signal.aborted) {
      this.#abort();
      return;
    }
    this.#timer = clock.after(headStartMs, () => this.#startSecond());
    this.#run('first', this.#options.first);
  }

  #startSecond(): void {
    if (this.#secondStarted || this.#over) return;
    this.#secondStarted = true;
    this.#timer?.cancel();
    this.#run('second', this.#options.second);
  }

  #run(who: 'first' | 'second', dial: Dial): void {
    const { request, clock } = this.#options;
    const passedMs = clock.nowMs() - this.#startMs;
    const timeoutMs = Math.max(0, request.timeoutMs - passedMs);
    dial({ ...request, timeoutMs, signal: this.#dialling.signal }).then(
      (connection) => this.#onReady(who, connection),
      (error) => this.#onFailed(who, error),
    );
  }

  #onReady(who: 'first' | 'second', connection: Connection): void {
    if (this.#over) {
      connection.close('it is not wanted any more');
      return;
    }
    if (who === 'first') {
      this.#win(who, connection);
      return;
    }
    this.#held = connection;
    this.#heldSinceMs = this.#options.clock.nowMs();
    connection.onClose(({ message }) => {
      if (this.#held !== connection || this.#over) return;
      this.#held = undefined;
      this.#timer?.cancel();
      this.#onFailed('second', new DstError('DST_E_CONNECTION_LOST', message));
    });
    this.#takeHeldInTime(connection);
  }

  #takeHeldInTime(connection: Connection): void {
    this.#timer?.cancel();
    const { clock, windowMs, holdMs } = this.#options;
    const windowEndMs = this.#failures.first === undefined ? this.#startMs + windowMs : 0;
    const takeMs = Math.max(windowEndMs, this.#heldSinceMs + holdMs);
    const take = () => this.#win('second', connection);
    const delayMs = takeMs - clock.nowMs();
    if (delayMs <= 0) take();
    else this.#timer = clock.after(delayMs, take);
  }

  #onFailed(who: 'first' | 'second', error: unknown): void {
    if (this.#over) return;
    if (!(error instanceof DstError)) {
      this.#end();
      this.#reject(error);
      return;
    }
    this.#failures[who] = error;
    if (who === 'first') {
      this.#firstFailedAfterMs = this.#options.clock.nowMs() - this.#startMs;
    }
    const final = who === 'first' && this.#options.isFinal(error);
    if (final || (this.#failures.first && this.#failures.second)) {
      this.#finish({ winner: 'nobody' });
    } else if (who === 'first') {
      if (this.#held === undefined) this.#startSecond();
      else this.#takeHeldInTime(this.#held);
    }
  }

  #win(winner: 'first' | 'second', connection: Connection): void {
    if (this.#held === connection) this.#held = undefined;
    this.#finish({ winner, connection });
  }

  #finish(result: Pick<RaceOutcome, 'winner' | 'connection'>): void {
    this.#end();
    const firstFailedAfterMs = this.#firstFailedAfterMs;
    this.#resolve({
      ...result,
      failures: this.#failures,
      ...(firstFailedAfterMs === undefined ? {} : { firstFailedAfterMs }),
    });
  }

  readonly #abort = (): void => {
    this.#end();
    this.#reject(new DstError('DST_E_ABORTED', 'this attempt to connect is not wanted any more'));
  };

  #end(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#options.request.signal.removeEventListener('abort', this.#abort);
    this.#held?.close('another transport was quicker');
    this.#held = undefined;
    this.#dialling.abort();
  }
}
