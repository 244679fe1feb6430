import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderPrefix, removeStaleFolders } from './stale-folders.js';

let folder: string | undefined;

/**
 * To be called before the engine is first used.
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
 */
export function usePrivateFolder(): void {
  if (folder !== undefined) return;
  process.umask(0o077);
  removeStaleFolders(tmpdir());
  const made = mkdtempSync(join(tmpdir(), folderPrefix()));
  folder = made;
  process.env.TMPDIR = made;
  process.env.SSL_CERT_FILE = join(made, 'no-authorities.pem');
  process.env.SSL_CERT_DIR = join(made, 'no-authorities');
  process.once('exit', () => rmSync(made, { recursive: true, force: true }));
}
