/**
 * What is remembered across processes of the ways to exports: to which addresses QUIC got no
 * answer lately, so that the next client behind the same firewall does not wait for it again.
 *
 * A hint, and no more: what cannot be read or written costs a warning. Nothing here blocks the
 * event loop or waits for a disk, as the folder may be on the very device that a client serves.
 */

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { failedWith } from '../../block/system-error.js';
import { type Clock, systemClock } from '../../clock.js';
import { reasonOf } from '../../errors.js';
import {
  ROUTE_MEMORY_ADDRESSES_MAX,
  ROUTE_MEMORY_FILE_BYTES_MAX,
  ROUTE_MEMORY_LIFE_MS,
  ROUTE_MEMORY_TIMEOUT_MS,
} from '../../limits.js';
import type { Log } from '../../log.js';
import { resolvesWithin } from '../../within.js';
import { formatHostPort, type HostPort } from '../address.js';
import type { SilenceMemory } from './router.js';

const FILE_NAME = 'routes.json';
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export interface RouteMemoryOptions {
  /** Made, with its parents, when there is something to remember; undefined where there is none. */
  readonly folder: string | undefined;
  readonly where: HostPort;
  /** Told, as a warning, what cannot be read or written. */
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly dateMs?: () => number;
  readonly clock?: Clock;
}

/** When QUIC was found silent, in milliseconds since 1970, by `HOST:PORT`. */
type SilentSince = Map<string, number>;

/** The memory of one address, in a file that all addresses share. */
export class RouteMemory implements SilenceMemory {
  readonly #folder: string | undefined;
  readonly #address: string;
  readonly #log: Log;
  readonly #dateMs: () => number;
  readonly #clock: Clock;
  #silent = false;
  /** The last save that was asked for; each waits for the one before. */
  #saved: Promise<void> = Promise.resolve();

  constructor(options: RouteMemoryOptions) {
    const { folder, where, log, dateMs = Date.now, clock = systemClock } = options;
    this.#folder = folder;
    this.#address = formatHostPort(where);
    this.#log = log;
    this.#dateMs = dateMs;
    this.#clock = clock;
  }

  async quicIsSilent(): Promise<boolean> {
    const looking = this.#read().then((silentSince) => {
      this.#silent = silentSince.has(this.#address);
    });
    await resolvesWithin(looking, ROUTE_MEMORY_TIMEOUT_MS, this.#clock);
    return this.#silent;
  }

  async setQuicSilent(silent: boolean): Promise<void> {
    if (!silent && !this.#silent) return;
    this.#silent = silent;
    this.#saved = this.#saved.then(() => this.#save(silent));
    await resolvesWithin(this.#saved, ROUTE_MEMORY_TIMEOUT_MS, this.#clock);
  }

  async #save(silent: boolean): Promise<void> {
    const silentSince = await this.#read();
    // Anew, so that the newest are the last.
    silentSince.delete(this.#address);
    if (silent) silentSince.set(this.#address, this.#dateMs());
    await this.#write([...silentSince].slice(-ROUTE_MEMORY_ADDRESSES_MAX));
  }

  /** What is in the file and has not expired; empty where it cannot be read. */
  async #read(): Promise<SilentSince> {
    if (this.#folder === undefined) return new Map();
    try {
      const content = await readBounded(join(this.#folder, FILE_NAME));
      const nowMs = this.#dateMs();
      // A date ahead of ours was written by a clock that was wrong.
      const fresh = parse(content).filter(
        ([, sinceMs]) => sinceMs <= nowMs && nowMs - sinceMs < ROUTE_MEMORY_LIFE_MS,
      );
      return new Map(fresh);
    } catch (error) {
      if (!failedWith(error, 'ENOENT', 'ENOTDIR')) this.#warn(this.#folder, error);
      return new Map();
    }
  }

  async #write(entries: readonly (readonly [string, number])[]): Promise<void> {
    if (this.#folder === undefined) return;
    const path = join(this.#folder, FILE_NAME);
    const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      await mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE });
      const content = `${JSON.stringify({ quicSilentSince: Object.fromEntries(entries) })}\n`;
      await writeFile(temporary, content, { mode: FILE_MODE, flag: 'wx' });
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      this.#warn(this.#folder, error);
    }
  }

  #warn(folder: string, error: unknown): void {
    this.#log.warn(
      { folder, reason: reasonOf(error) },
      'whether QUIC works to this address cannot be remembered, so that each start finds it out anew: make this folder writable and remove what is in it, or set XDG_CACHE_HOME to another',
    );
  }
}

/** Of regular files alone, and not blocking: a named pipe would hold its thread until the end. */
async function readBounded(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${FILE_NAME} is no file`);
    const buffer = Buffer.alloc(ROUTE_MEMORY_FILE_BYTES_MAX + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > ROUTE_MEMORY_FILE_BYTES_MAX) throw new Error(`${FILE_NAME} is too long`);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Throws where it is something else. */
function parse(content: string): [string, number][] {
  const value: unknown = JSON.parse(content);
  if (!isRecord(value) || !isRecord(value.quicSilentSince)) {
    throw new Error(`${FILE_NAME} holds something else`);
  }
  return Object.entries(value.quicSilentSince).filter(
    (entry): entry is [string, number] => typeof entry[1] === 'number',
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
