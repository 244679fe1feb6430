import { DstError, type DstErrorCode } from '../errors.js';
import { printable } from '../printable.js';

/** What the process's exit code tells a script. */
export const EXIT = {
  ok: 0,
  failure: 1,
  /** The command line itself is wrong: trying again is no use. */
  usage: 2,
} as const;

/** The same in words, for whoever calls us. */
export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'done',
  failure: 'failed',
  usage: 'wrong usage',
};

/** What was typed is wrong. */
export class UsageError extends DstError {
  constructor(message: string, code: DstErrorCode = 'DST_E_USAGE', cause?: unknown) {
    super(code, message, { cause });
  }
}

/** Runs a parser of something that was typed: its `DstError` is a `UsageError` then. */
export function parseTyped<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof DstError)) throw error;
    throw new UsageError(error.message, error.code, error);
  }
}

export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError ? EXIT.usage : EXIT.failure;
}

/** The one line that a user reads of an error; the stack after it where `withStack`. */
export function describeError(error: unknown, withStack: boolean): string {
  const line =
    error instanceof DstError
      ? `dst-quic: ${printable(error.message)} (${error.code})`
      : `dst-quic: unexpected: ${printable(String(error))}: please report it, with what --log-level debug adds (DST_E_UNEXPECTED)`;
  const stack = error instanceof Error ? error.stack : undefined;
  return withStack && stack !== undefined ? `${line}\n${stack}` : line;
}
