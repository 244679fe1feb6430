import { waitForExport } from '../client/wait-for-export.js';
import { type Clock, systemClock } from '../clock.js';
import { LEAVE_TIMEOUT_MS } from '../limits.js';
import type { Log } from '../log.js';
import { resolvesWithin } from '../within.js';

export interface WaitOrStopOptions {
  /** Whether an export that cannot be reached is tried again. */
  readonly wait: boolean;
  readonly log: Log;
  /** Resolves with the name of what asks for an end. */
  readonly stop: Promise<string>;
  readonly clock?: Clock;
}

/**
 * Connects: where it is to `wait`, as soon as the export lets us, as `waitForExport` does.
 * Undefined when `stop` came first. The attempt under way then is given LEAVE_TIMEOUT_MS, and
 * what comes of it is closed: the export may have let us in, and would keep the store for us until
 * its lease lapses.
 */
export async function waitOrStop<T extends { close(): Promise<void> }>(
  connect: () => Promise<T>,
  { wait, log, stop, clock = systemClock }: WaitOrStopOptions,
): Promise<T | undefined> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const connected = wait ? waitForExport(connect, { log, clock, signal }) : connect();
  const first = await Promise.race([connected, stop]);
  if (typeof first !== 'string') return first;
  log.info(`${first}: ending; the export was not reached`);
  waiting.abort();
  const attempt = connected.catch(() => undefined);
  if (await resolvesWithin(attempt, LEAVE_TIMEOUT_MS, clock)) await (await attempt)?.close();
  return undefined;
}
