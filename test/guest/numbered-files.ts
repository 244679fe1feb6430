/** Files that are written and synced one after another, and are known by their numbers. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../faults/patience.js';
import { KIB } from '../support/end-to-end.js';

const FOLDER_NAME = 'numbered';

/** Sizes go round in so many steps. */
const SIZES = 7;
const SIZE_STEP_BYTES = 5 * KIB + 1;

/** No fault here lasts half as long. */
const HANGS_MS = 60_000;

export class NumberedFiles {
  readonly #folder: string;
  #synced = 0;
  #state: 'running' | 'stopped' = 'stopped';
  #writing = Promise.resolve();

  /** They go into a folder below this one. */
  constructor(folder: string) {
    this.#folder = join(folder, FOLDER_NAME);
    mkdirSync(this.#folder);
  }

  /** All files up to this number have been synced. */
  get synced(): number {
    return this.#synced;
  }

  /** Starts to write, or goes on. */
  start(): void {
    this.#state = 'running';
    this.#writing = this.#write();
    // Whoever waits for it is told.
    this.#writing.catch(() => {});
  }

  /** Waits until so many more have been synced. */
  async progress(count: number): Promise<void> {
    const wanted = this.#synced + count;
    const there = eventually(() => this.#synced >= wanted, HANGS_MS, `${count} more files`);
    await Promise.race([there, this.#writing]);
  }

  /** Stops after the file that is under way; fails where writing one did. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    await this.#writing;
  }

  async #write(): Promise<void> {
    const folder = await open(this.#folder);
    try {
      while (this.#state === 'running') {
        await this.#writeOne(this.#synced + 1);
        // That a file is in its folder is the folder's to keep.
        await folder.sync();
        this.#synced++;
      }
    } finally {
      await folder.close();
    }
  }

  async #writeOne(number: number): Promise<void> {
    const file = await open(join(this.#folder, `${number}`), 'wx');
    try {
      await file.writeFile(content(number));
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

/** Fails unless each of the files up to this number is there, and whole. */
export async function checkFiles(folder: string, synced: number): Promise<void> {
  for (let number = 1; number <= synced; number++) {
    const found = await readFile(join(folder, FOLDER_NAME, `${number}`));
    assert.ok(found.equals(content(number)), `file ${number} of ${synced} is whole`);
  }
}

function content(number: number): Buffer {
  const block = createHash('sha256').update(`file ${number}`).digest();
  return Buffer.alloc(1 + (number % SIZES) * SIZE_STEP_BYTES, block);
}
