import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout, wherever the compiled tests lie. */
export const REPOSITORY_ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

/** A file under test/fixtures. */
export function fixturePath(...names: string[]): string {
  return join(REPOSITORY_ROOT, 'test', 'fixtures', ...names);
}

function findRoot(start: string): string {
  let folder = start;
  while (!existsSync(join(folder, 'biome.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('no biome.json above the tests');
    folder = parent;
  }
  return folder;
}
