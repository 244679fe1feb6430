import { type Clock, systemClock, type Timer } from '../clock.js';
import { DstError } from '../errors.js';
import { REDIAL_DELAY_MAX_MS, REDIAL_DELAY_MIN_MS } from '../limits.js';
import type { Log } from '../log.js';

export interface WaitOptions {
  readonly log: Log;
  /** Ends the waiting: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

/**
 * What may be otherwise at the next attempt: the export cannot be reached, is coming or going,
 * is full, or has another writer. All else is for a person to put right.
 */
const PASSING = new Set<string>([
  'DST_E_RESOLVE',
  'DST_E_REFUSED',
  'DST_E_UNREACHABLE',
  'DST_E_TIMEOUT',
  'DST_E_HANDSHAKE',
  'DST_E_CONNECTION_LOST',
  'DST_E_PEER_SILENT',
  'DST_E_RESENDS',
  'DST_E_GOING_AWAY',
  'DST_E_BUSY',
  'DST_E_SESSIONS',
]);

/**
 * Connects as soon as that succeeds: where it fails for a reason that may pass, tries again,
 * with a delay that doubles up to REDIAL_DELAY_MAX_MS and is jittered. Logs when it begins to
 * wait, and when the reason becomes another one; not each attempt.
 *
 * Rejects as `connect` does where the reason is final.
 */
export async function waitForExport<T>(
  connect: () => Promise<T>,
  options: WaitOptions,
): Promise<T> {
  const { log, signal, clock = systemClock, random = Math.random } = options;
  let delayMs = REDIAL_DELAY_MIN_MS;
  let reason: string | undefined;
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await connect();
    } catch (error) {
      if (!(error instanceof DstError) || !PASSING.has(error.code)) throw error;
      signal?.throwIfAborted();
      if (error.code !== reason) log.warn({ code: error.code }, `waiting: ${error.message}`);
      reason = error.code;
    }
    await pause(delayMs * (0.5 + random() / 2), clock, signal);
    delayMs = Math.min(delayMs * 2, REDIAL_DELAY_MAX_MS);
  }
}

function pause(delayMs: number, clock: Clock, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    let timer: Timer | undefined;
    const done = () => {
      timer?.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    timer = clock.after(delayMs, done);
    signal?.addEventListener('abort', done);
  });
}
