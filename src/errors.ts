/**
 * The one error type of the project. Every expected failure (bad input, a peer that
 * refuses, a disk that fills) is a `DstError` with a stable code; anything else that is
 * thrown is a broken invariant and ends the process.
 */

/** Errno values as the NBD protocol carries them (NBD specification, "Error values"). */
export const NBD_ERRNO = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

export type ErrnoName = keyof typeof NBD_ERRNO;

const NAME_BY_ERRNO = new Map<number, ErrnoName>(
  Object.entries(NBD_ERRNO).map(([name, value]) => [value, name as ErrnoName]),
);

/** The name of an NBD errno value; EIO for any value that the specification does not list. */
export function errnoName(value: number): ErrnoName {
  return NAME_BY_ERRNO.get(value) ?? 'EIO';
}

/** A stable identifier that scripts may match on; the sentence beside it may change. */
export type DstErrorCode = `DST_E_${string}`;

/**
 * An expected failure.
 *
 * `message` names the thing and the next step in one line. `errno` is set where a block
 * command failed, and is what an NBD client is told.
 */
export class DstError extends Error {
  override readonly name = 'DstError';
  readonly code: DstErrorCode;
  readonly errno: ErrnoName | undefined;

  constructor(
    code: DstErrorCode,
    message: string,
    options: { errno?: ErrnoName; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.errno = options.errno;
  }
}

/** The errno to report for anything that a block command threw: EIO where it names none. */
export function errnoOf(error: unknown): ErrnoName {
  return error instanceof DstError && error.errno !== undefined ? error.errno : 'EIO';
}

/** What was thrown, in its own words: for a sentence or a log line that says why. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Crashes early on what must never be. Not for bad input: that is a `DstError`.
 */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${what}`);
}
