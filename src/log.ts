import type { Logger } from 'pino';

/**
 * What the rooms below the command line need of a logger, so that tests can pass a silent
 * one and no room depends on how a process prints.
 */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

function nothing(): void {}

/** Drops everything. */
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
