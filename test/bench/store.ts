import { randomBytes } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { MIB } from '../support/end-to-end.js';

/** What a server offers: a file of the rig's folder, or its own memory. */
export type Store = 'file' | 'memory';

/** Makes a file without holes, so that reads meet data and writes meet allocated blocks. */
export function makeFilledFile(path: string, sizeBytes: number): void {
  const piece = randomBytes(MIB);
  const file = openSync(path, 'w');
  try {
    for (let offset = 0; offset < sizeBytes; offset += MIB) {
      writeSync(file, piece, 0, Math.min(MIB, sizeBytes - offset));
    }
  } finally {
    closeSync(file);
  }
}
