/** An export of one sparse file, in a folder of its own. */
import { join } from 'node:path';
import { folderWithCertificates } from '../cli/command.js';
import { ExportProcess } from '../faults/processes.js';
import type { Cleanup } from '../support/cleanup.js';
import { MIB, makeSparse } from '../support/end-to-end.js';

export interface Store {
  readonly folder: string;
  readonly storePath: string;
  readonly sizeBytes: number;
  readonly exporting: ExportProcess;
}

/** Makes the file, and starts its export. */
export async function newStore(t: Cleanup, sizeBytes = 64 * MIB): Promise<Store> {
  const folder = await folderWithCertificates(t);
  const storePath = join(folder, 'store.img');
  makeSparse(storePath, sizeBytes);
  const exporting = await ExportProcess.start(t, { folder, storePath, host: '127.0.0.1' });
  return { folder, storePath, sizeBytes, exporting };
}
