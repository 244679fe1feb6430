import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { DstError, type DstErrorCode } from '../errors.js';

const OPEN_TO_OTHERS = 0o077;

export interface SmallFileRules {
  /** For messages: "private key", "secret". */
  readonly what: string;
  /** Of the error where it cannot be read, or is too large. */
  readonly code: DstErrorCode;
  readonly bytesMax: number;
  /** What to give instead of a file that is too large. */
  readonly instead: string;
}

export interface SmallFile {
  readonly content: Buffer;
  /** Of the very file that was read, whatever the path names a moment later. */
  readonly mode: number;
}

/** Reads a file whole, or what comes of a pipe. Throws the code in `rules`. */
export function readSmallFile(path: string, rules: SmallFileRules): SmallFile {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    const { mode } = fstatSync(descriptor);
    const content = readUpTo(descriptor, rules.bytesMax + 1);
    if (content.length > rules.bytesMax) throw tooLarge(path, rules);
    return { content, mode };
  } catch (cause) {
    if (cause instanceof DstError) throw cause;
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new DstError(
      rules.code,
      `the ${rules.what} file ${path} cannot be read (${reason}): check the path and its permissions`,
      { cause },
    );
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Whether a file of this mode can be read or written by any but its owner. */
export function isOpenToOthers(mode: number): boolean {
  return (mode & OPEN_TO_OTHERS) !== 0;
}

/** The size that a file claims says nothing of a pipe or of /dev/zero. */
function readUpTo(descriptor: number, bytesMax: number): Buffer {
  const bytes = Buffer.alloc(bytesMax);
  let at = 0;
  while (at < bytesMax) {
    const readBytes = readSync(descriptor, bytes, at, bytesMax - at, null);
    if (readBytes === 0) break;
    at += readBytes;
  }
  // A copy, so that what is kept is no larger than it must be; and this one may hold a key.
  const content = Buffer.from(bytes.subarray(0, at));
  bytes.fill(0);
  return content;
}

function tooLarge(path: string, { what, code, bytesMax, instead }: SmallFileRules): DstError {
  return new DstError(
    code,
    `the ${what} file ${path} is too large (more than ${bytesMax} bytes): give ${instead}`,
  );
}
