import { EXIT } from './exit.js';

let onStop: ((signal: NodeJS.Signals) => void) | undefined;
let requested: Promise<NodeJS.Signals> | undefined;

/**
 * From here on SIGINT and SIGTERM end the process at once (and in order: exit handlers run),
 * unless somebody waits for `stopRequested`.
 */
export function handleSignals(): void {
  const handle = (signal: NodeJS.Signals) => {
    const stop = onStop;
    onStop = undefined;
    if (stop === undefined) process.exit(EXIT.failure);
    stop(signal);
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
}

/**
 * Resolves with the first signal, from the first call on, that asks the process to end; a
 * second one ends it at once.
 */
export function stopRequested(): Promise<NodeJS.Signals> {
  requested ??= new Promise((resolve) => {
    onStop = resolve;
  });
  return requested;
}
