import { EXIT } from './exit.js';

let onStop: ((signal: NodeJS.Signals) => void) | undefined;
let requested: Promise<NodeJS.Signals> | undefined;

/**
 * From here on SIGINT and SIGTERM end the process at once (and in order: exit handlers run),
 * unless somebody waits for `stopRequested`. One that comes when it is already ending, and hangs
 * in that, kills it.
 */
export function handleSignals(): void {
  const handle = (signal: NodeJS.Signals) => {
    const stop = onStop;
    onStop = undefined;
    if (stop === undefined) process.exit(EXIT.failure);
    stop(signal);
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, handle);
  // The last that a process does is to wait for its threads. Where one hangs in a file system
  // that hangs, nothing of ours would hear a signal any more: the system's own way ends it then.
  process.once('exit', () => {
    for (const signal of signals) process.off(signal, handle);
  });
}

/**
 * Resolves with the first signal, from the first call on, that asks the process to end; a
 * second one ends it at once, unless it was said meanwhile that the first is `refused`.
 */
export function stopRequested(): Promise<NodeJS.Signals> {
  requested ??= new Promise((resolve) => {
    onStop = resolve;
  });
  return requested;
}

/** The process does not end for the signal that came: resolves with the next one. */
export function stopRefused(): Promise<NodeJS.Signals> {
  requested = undefined;
  return stopRequested();
}
