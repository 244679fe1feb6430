import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { KernelFolders } from '../../../src/nbd/kernel/kernel-files.js';
import type { Cleanup } from '../../support/cleanup.js';

/** Made-up /sys, /proc and /dev, of which each test lays out what it is about. */
export interface MadeUpFolders extends KernelFolders {
  /** Writes a file, such as "sys/block/nbd0/pid". */
  put(path: string, text?: string): Promise<void>;
  /** Makes a link, such as "proc/12/fd/3". */
  link(path: string, target: string): Promise<void>;
}

export async function madeUpFolders(t: Cleanup): Promise<MadeUpFolders> {
  const root = await mkdtemp(join(tmpdir(), 'dst-kernel-'));
  t.after(() => rm(root, { recursive: true }));
  return {
    sys: join(root, 'sys'),
    proc: join(root, 'proc'),
    dev: join(root, 'dev'),
    put: async (path, text = '') => {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    },
    link: async (path, target) => {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await symlink(target, join(root, path));
    },
  };
}
