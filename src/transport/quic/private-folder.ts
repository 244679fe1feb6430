import { lstatSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { failedWith } from '../../block/system-error.js';
import { DstError, reasonOf } from '../../errors.js';
import {
  folderPrefix,
  isOurPrivateFolder,
  PRIVATE_MODE,
  removeStaleFolders,
} from './stale-folders.js';

let folder: string | undefined;

/**
 * To be called before the engine is first used, and before each use that may come much later:
 * what clears up a temporary directory takes an empty folder away when it is some days old, and
 * the engine would find no place for its files then. Such a folder is made anew.
 *
 * The engine (0.9.0) passes keys and certificates through files of predictable names in the
 * temporary directory, with mode 0666 & ~umask, and unlinks them again, at moments of its
 * own choosing. So from here on this process has a temporary directory of its own, 0700,
 * and makes no file that others can read. A process that is killed leaves it; the next one
 * that starts removes it.
 *
 * For each connection the engine also reads the system's authorities, which never count here,
 * where SSL_CERT_FILE says or where some systems keep them: 13 ms on the event loop. So they
 * are named where there are none.
 *
 * Throws DST_E_TEMPORARY_FOLDER where there can be no such folder.
 */
export function usePrivateFolder(): void {
  try {
    if (folder === undefined) start();
    else keep(folder);
  } catch (cause) {
    throw noFolder(cause);
  }
}

function start(): void {
  process.umask(0o077);
  removeStaleFolders(tmpdir());
  const made = mkdtempSync(join(tmpdir(), folderPrefix()));
  folder = made;
  process.env.TMPDIR = made;
  process.env.SSL_CERT_FILE = join(made, 'no-authorities.pem');
  process.env.SSL_CERT_DIR = join(made, 'no-authorities');
  process.once('exit', () => rmSync(made, { recursive: true, force: true }));
}

/**
 * By the same name: the engine's threads read the environment, so that it must not change while
 * they run. What somebody else has put there meanwhile is not used.
 */
function keep(path: string): void {
  try {
    if (isOurPrivateFolder(lstatSync(path))) return;
  } catch (error) {
    if (!failedWith(error, 'ENOENT')) throw error;
    mkdirSync(path, { mode: PRIVATE_MODE });
    return;
  }
  throw new Error(`${path} is not ours alone any more`);
}

function noFolder(cause: unknown): DstError {
  const reason = reasonOf(cause);
  return new DstError(
    'DST_E_TEMPORARY_FOLDER',
    `QUIC needs a private folder in the temporary directory: ${reason}; make room for one there, or set TMPDIR to a directory where this user may make folders, and start again`,
    { cause },
  );
}
