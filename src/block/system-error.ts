import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { DstError, type DstErrorCode, type ErrnoName } from '../errors.js';

type SystemErrno = keyof typeof constants.errno | 'EDQUOT';

/** What a command's caller is told about a failed system call, and what to do about it. */
interface Meaning {
  readonly code: DstErrorCode;
  readonly errno: ErrnoName;
  readonly nextStep: string;
}

const FULL: Meaning = {
  code: 'DST_E_NO_SPACE',
  errno: 'ENOSPC',
  nextStep: 'free space where it is stored',
};
const FORBIDDEN: Meaning = {
  code: 'DST_E_PERMISSION',
  errno: 'EPERM',
  nextStep: 'check that it may be written',
};
const BROKEN: Meaning = {
  code: 'DST_E_IO',
  errno: 'EIO',
  nextStep: 'see the kernel log (dmesg) for the cause',
};
const MEMORY: Meaning = { code: 'DST_E_MEMORY', errno: 'ENOMEM', nextStep: 'free some memory' };

const MEANINGS = new Map<number, Meaning>([
  [constants.errno.ENOSPC, FULL],
  [constants.errno.EDQUOT, FULL],
  [constants.errno.EFBIG, FULL],
  [constants.errno.EROFS, FORBIDDEN],
  [constants.errno.EPERM, FORBIDDEN],
  [constants.errno.EACCES, FORBIDDEN],
  [constants.errno.ENOMEM, MEMORY],
]);

/** An error as Node makes them, for a system call that Node does not have. */
export function systemError(systemCall: string, errnoNumber: number): NodeJS.ErrnoException {
  const name = getSystemErrorName(-errnoNumber);
  return Object.assign(new Error(`${name}: ${systemCall} failed`), {
    errno: -errnoNumber,
    code: name,
    syscall: systemCall,
  });
}

/**
 * Whether a system call failed with one of the named errors. By number, since Node has no
 * name for some of those that a file system gives (EDQUOT).
 */
export function failedWith(error: unknown, ...names: readonly SystemErrno[]): boolean {
  const { errno } = error as NodeJS.ErrnoException;
  return errno !== undefined && names.some((name) => constants.errno[name] === -errno);
}

/** The error of a block command whose system call failed. `action`: "write of 512 bytes at 0". */
export function commandError(
  description: string,
  action: string,
  error: NodeJS.ErrnoException,
): DstError {
  const meaning = MEANINGS.get(-(error.errno ?? 0)) ?? BROKEN;
  return new DstError(
    meaning.code,
    `${action} of ${description} failed in ${error.syscall ?? 'a system call'} (${error.code ?? error.message}): ${meaning.nextStep}`,
    { errno: meaning.errno, cause: error },
  );
}

/** The error of opening the file or disk at `path`. */
export function openError(path: string, readOnly: boolean, error: NodeJS.ErrnoException): DstError {
  const reason = error.code ?? error.message;
  const because = { cause: error };
  if (failedWith(error, 'ENOENT', 'ENOTDIR')) {
    return new DstError('DST_E_NOT_FOUND', `${path} does not exist: check the path`, because);
  }
  if (failedWith(error, 'EACCES', 'EPERM', 'EROFS')) {
    const message = readOnly
      ? `${path} may not be read (${reason}): change its permissions, or run as a user who may`
      : `${path} may not be written (${reason}): give --read-only, or change its permissions`;
    return new DstError('DST_E_PERMISSION', message, because);
  }
  if (failedWith(error, 'EBUSY')) {
    return new DstError(
      'DST_E_BUSY',
      `${path} is mounted or in use: unmount it, or end the program that uses it`,
      because,
    );
  }
  return new DstError('DST_E_OPEN', `${path} cannot be opened (${reason})`, because);
}
