import { availableParallelism } from 'node:os';
import { Option } from 'commander';
import { HASH_THREADS_AUTO_MAX, HASH_THREADS_AUTO_SPARED, HASH_THREADS_MAX } from '../limits.js';
import type { Log } from '../log.js';
import { UsageError } from './exit.js';

/** Threads that hash large payloads, of `export` and `connect`. */
export interface CryptoThreadsOptions {
  readonly cryptoThreads: number;
}

export function cryptoThreadsOption(): Option {
  return new Option(
    '--crypto-threads <n|auto>',
    'threads that compute the checksums of large payloads; SIGUSR1 adds one, SIGUSR2 takes one away',
  )
    .argParser(parseThreads)
    .default(automaticThreads(availableParallelism()), 'auto');
}

/**
 * The threads that pay on a machine with so many processors: none where they would only take
 * turns with the event loop and the QUIC engine (docs/PERFORMANCE.md).
 */
export function automaticThreads(processors: number): number {
  return Math.min(HASH_THREADS_AUTO_MAX, Math.max(0, processors - HASH_THREADS_AUTO_SPARED));
}

/**
 * Starts the threads of this process, and from then on heeds SIGUSR1 and SIGUSR2. They keep no
 * process alive, and end with it.
 */
export async function startCryptoThreads(
  { cryptoThreads }: CryptoThreadsOptions,
  log: Log,
): Promise<void> {
  // Loaded here: it compiles WebAssembly, which --help has no need of.
  const { processPool: pool } = await import('../../wasm/hash-pool.js');
  pool.log = log;
  pool.resize(cryptoThreads);
  const change = (by: number) => {
    const before = pool.threads;
    const threads = pool.resize(before + by);
    if (threads !== before) log.info({ threads }, 'threads for checksums');
    else log.warn({ threads, most: HASH_THREADS_MAX }, 'threads for checksums stay as they are');
  };
  // With a listener Node starts no debugger at SIGUSR1, as it otherwise would.
  process.on('SIGUSR1', () => change(1));
  process.on('SIGUSR2', () => change(-1));
}

function parseThreads(text: string): number {
  if (text === 'auto') return automaticThreads(availableParallelism());
  const threads = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (threads <= HASH_THREADS_MAX) return threads;
  throw new UsageError(
    `--crypto-threads "${text}" will not do: give a number from 0 to ${HASH_THREADS_MAX}, or auto`,
  );
}
