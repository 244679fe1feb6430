/**
 * The last claim of a store on disk: a small file of its own in a folder for state, by which
 * an export that starts again refuses a client whose store another has written to since.
 *
 * The file names no store: its own name is a hash of what the store is, so that the name
 * under which it is offered may change.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { failedWith } from '../block/system-error.js';
import { reasonOf } from '../errors.js';
import { CLAIM_FILE_BYTES_MAX, CLAIM_SAVE_TIMEOUT_MS } from '../limits.js';
import type { Log } from '../log.js';
import { SESSION_BYTES } from '../protocol/messages.js';
import { resolvesWithin } from '../within.js';
import type { ClaimStore, SavedClaim } from './store.js';

/** Who knows a session's key can come as that session. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export interface ClaimFileOptions {
  /** Made, with its parents, at the first claim. */
  readonly folder: string;
  /** What the store is, the same at every start: the real path of a file or disk. */
  readonly identity: string;
  /** Told, as warnings, what cannot be read or written. */
  readonly log: Log;
}

export class ClaimFile implements ClaimStore {
  readonly path: string;
  readonly #folder: string;
  readonly #log: Log;
  /** The last save that was asked for; each waits for the one before. */
  #saved: Promise<void> = Promise.resolve();
  #warned = false;

  constructor({ folder, identity, log }: ClaimFileOptions) {
    const name = createHash('sha256').update(`dst-quic claim\0${identity}`).digest('hex');
    this.#folder = folder;
    this.#log = log;
    this.path = join(folder, `${name.slice(0, 32)}.claim`);
  }

  /** A file that cannot be read or understood counts as none, with a warning. */
  load(): SavedClaim | undefined {
    try {
      return parseClaim(readFileSync(this.path));
    } catch (error) {
      if (failedWith(error, 'ENOENT', 'ENOTDIR')) return undefined;
      this.#log.warn(
        { path: this.path, reason: reasonOf(error) },
        'who wrote last is not known, so that a client which was fenced before may come back: remove or repair this file',
      );
      return undefined;
    }
  }

  async save(claim: SavedClaim): Promise<void> {
    this.#saved = this.#saved.then(() => this.#save(claim));
    if (await resolvesWithin(this.#saved, CLAIM_SAVE_TIMEOUT_MS)) return;
    this.#warn(`it takes longer than ${CLAIM_SAVE_TIMEOUT_MS / 1000} s`);
  }

  async #save(claim: SavedClaim): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE });
      await writeDurably(this.#folder, this.path, `${JSON.stringify(claim)}\n`);
    } catch (error) {
      await this.#forget();
      this.#warn(reasonOf(error));
    }
  }

  #warn(reason: string): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#log.warn(
      { path: this.path, reason },
      'who writes cannot be remembered, so that after a restart a client which was fenced before may come back: make this folder writable, or set STATE_DIRECTORY to another',
    );
  }

  /** What an older claim says is worse than nothing: it would refuse the one who writes now. */
  async #forget(): Promise<void> {
    try {
      await rm(this.path, { force: true });
    } catch {
      // The warning says what to do.
    }
  }
}

/** Gives the path this content, whole or not at all, also through a loss of power. */
async function writeDurably(folder: string, path: string, content: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeAndSync(temporary, content);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeAndSync(path: string, content: string): Promise<void> {
  const handle = await open(path, 'wx', FILE_MODE);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Throws where it is no claim. */
function parseClaim(content: Buffer): SavedClaim {
  if (content.length > CLAIM_FILE_BYTES_MAX) throw new Error('it is too long');
  const claim: unknown = JSON.parse(content.toString());
  if (!isRecord(claim) || !isRecord(claim.address)) throw new Error('it is no claim');
  const { session, since } = claim;
  const { address, port } = claim.address;
  const key = new RegExp(`^[0-9a-f]{${2 * SESSION_BYTES}}$`);
  if (typeof session !== 'string' || !key.test(session)) throw new Error('it has no session');
  const date = new Date(typeof since === 'string' ? since : Number.NaN);
  if (Number.isNaN(date.getTime())) throw new Error('it has no time');
  if (typeof address !== 'string' || typeof port !== 'number') throw new Error('no address');
  return { session, since: date, address: { address, port } };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
