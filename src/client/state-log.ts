import type { DstError, DstErrorCode } from '../errors.js';
import type { Log } from '../log.js';
import type { EngineCounters } from '../transaction/counters.js';
import { describeRoute, type Route, routeFields } from './route/route.js';

const SUSPICIONS = {
  path: "this machine's way to the export has changed",
  quic: 'QUIC works again',
  transaction: 'an answer is late',
  ping: 'the export is silent',
} as const;

/** Why another way to the export may be better than the one in use. */
export type PathChange = 'path' | 'quic';

/** What a session says in the log: a line a change of state, not one a try. */
export class StateLog {
  readonly #log: Log;
  readonly #exportName: string;
  readonly #currentRoute: () => Route | undefined;
  #lastFailure: DstErrorCode | undefined;
  #ownFailures = 0;

  constructor(
    log: Log,
    exportName: string,
    currentRoute: () => Route | undefined = () => undefined,
  ) {
    this.#log = log;
    this.#exportName = exportName;
    this.#currentRoute = currentRoute;
  }

  suspected(why: keyof typeof SUSPICIONS): void {
    this.#log.info(
      { export: this.#exportName },
      `${SUSPICIONS[why]}: dialling a second connection beside the first`,
    );
  }

  /** Nothing is dialled beside the link any more; `refusal` is why, if it was that. */
  recovered(refusal?: DstError): void {
    const text =
      refusal === undefined
        ? 'the connection has recovered'
        : `the connection stays in use, another one was refused: ${refusal.message}`;
    const code = refusal === undefined ? {} : { code: refusal.code };
    this.#log.info({ ...code, export: this.#exportName }, text);
  }

  down(reason: DstError, waiting: number): void {
    this.#lastFailure = undefined;
    this.#log.warn(
      { code: reason.code, waiting, export: this.#exportName },
      `connection to the export lost, I/O waits: ${reason.message}`,
    );
  }

  /** An attempt to connect again failed: told once for each reason. */
  failed(error: DstError): void {
    if (error.code === this.#lastFailure) {
      this.#log.debug({ code: error.code }, `redial: ${error.message}`);
      return;
    }
    this.#lastFailure = error.code;
    this.#log.warn(
      { code: error.code, export: this.#exportName },
      `cannot connect again yet, still trying: ${error.message}`,
    );
  }

  up(details: { readonly epoch: number; readonly outageMs: number }): void {
    this.#lastFailure = undefined;
    const route = this.#currentRoute();
    this.#log.info(
      { ...details, ...(route && routeFields(route)), export: this.#exportName },
      `connected to the export again${route ? ` by ${describeRoute(route)}` : ''}`,
    );
  }

  goingAway(): void {
    this.#log.info('the export is shutting down');
  }

  /** `followed`: whoever uses the device is told, and need not connect anew. */
  resized(wasBytes: number, sizeBytes: number, followed: boolean): void {
    const hint = followed ? '' : '; NBD clients see it when they connect anew';
    this.#log.info({ sizeBytes, wasBytes }, `the export was resized${hint}`);
  }

  ended(counters: Readonly<EngineCounters>, reconnects: number): void {
    const { resent, timedOut, corrupt, replayed } = counters;
    this.#log.info({ resent, reconnects, timedOut, corrupt, replayed }, 'session ended');
  }

  /** What was acked before could not be made again, or not be flushed: the next flush fails. */
  ownFailed(error: Error): void {
    this.#ownFailures++;
    // A disk that has failed says so for each of thousands of writes.
    if (this.#ownFailures > 1) this.#log.debug({ failures: this.#ownFailures }, error.message);
    else {
      this.#log.error(
        { err: error, export: this.#exportName },
        `what was acked before may be lost: ${error.message}`,
      );
    }
  }

  /** The export lost its volatile cache; `kept` tells whether a replay can make up for it. */
  cacheLost(unflushedBytes: number, kept: boolean): void {
    this.#ownFailures = 0;
    const details = { export: this.#exportName, ...(kept ? { unflushedBytes } : {}) };
    if (kept)
      this.#log.warn(details, "the export's machine was restarted: replaying what was not flushed");
    else {
      this.#log.error(
        details,
        "the export's machine was restarted: writes since the last flush may be lost, as none are kept here",
      );
    }
  }
}
