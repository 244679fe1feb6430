import { readdir, readFile } from 'node:fs/promises';

/** Where the kernel tells about itself: other folders in tests. */
export interface KernelFolders {
  readonly sys: string;
  readonly proc: string;
  readonly dev: string;
}

export const KERNEL_FOLDERS: KernelFolders = { sys: '/sys', proc: '/proc', dev: '/dev' };

/** The file's text without spaces around it; undefined where there is none to be read. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch {
    return undefined;
  }
}

/** The names in a folder; none where it is not there or may not be read. */
export async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch {
    return [];
  }
}
