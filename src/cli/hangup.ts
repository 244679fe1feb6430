import { closeSync, openSync } from 'node:fs';
import { EXIT } from './exit.js';

/**
 * Calls `reload` at each SIGHUP, as daemons do, one call at a time: signals that come during
 * one lead to a single one more. Returns how to end that: from then on SIGHUP does nothing.
 *
 * A terminal that closes says SIGHUP too, and ends the process, as it does any program.
 */
export function reloadOnHangup(reload: () => Promise<void>): () => void {
  const hadTerminal = hasTerminal();
  let ended = false;
  let running = false;
  let again = false;
  const run = async () => {
    running = true;
    do {
      again = false;
      await reload();
    } while (again && !ended);
    running = false;
  };
  process.on('SIGHUP', () => {
    if (hadTerminal && !hasTerminal()) process.exit(EXIT.failure);
    if (ended) return;
    if (running) again = true;
    else void run();
  });
  return () => {
    ended = true;
  };
}

/** Whether there is a controlling terminal (tty(4)): one that was closed is none. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
