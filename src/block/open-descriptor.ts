import { close, constants, fsync, open } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

export const openPath = promisify(open);
export const closeDescriptor = promisify(close);
export const syncDescriptor = promisify(fsync);

/**
 * Opens what `fd` has open once more, with O_DSYNC. By way of /proc, so that it is the same
 * file whatever its path names by now. Undefined where that can't be done.
 */
export async function openDurable(fd: number): Promise<number | undefined> {
  try {
    return await openPath(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_DSYNC);
  } catch {
    return undefined;
  }
}

/** Makes the name of a file that was just created outlive a crash. */
export async function syncFolderOf(path: string): Promise<void> {
  const fd = await openPath(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await syncDescriptor(fd);
  } finally {
    await closeDescriptor(fd);
  }
}
