import { basename, extname, resolve } from 'node:path';
import { checkSize } from '../block/check-size.js';
import { parseSize } from '../block/size.js';
import { STORE_NAME_BYTES_MAX, STORES_MAX } from '../limits.js';
import { parseTyped, UsageError } from './exit.js';

/** One of the things that an export is asked to offer, and the name for it. */
export interface StoreSpec {
  readonly name: string;
  /** What `openDevice` takes. */
  readonly source: string;
}

export interface StoreOptions {
  readonly name?: string | undefined;
  readonly sizeBytes?: number | undefined;
}

const MEMORY = 'memory';

/**
 * Reads the STORE arguments of `dst-quic export`: `SOURCE`, or `NAME=SOURCE`. What stands
 * before the first `=` is a name unless it has a `/` in it, so that `./a=b.img` and
 * `/srv/a=b.img` are paths.
 */
export function parseStores(texts: readonly string[], options: StoreOptions): StoreSpec[] {
  if (texts.length > STORES_MAX) {
    throw new UsageError(`an export has at most ${STORES_MAX} stores, not ${texts.length}`);
  }
  if (texts.length > 1 && options.name !== undefined) {
    throw new UsageError('--name goes with one store: write NAME=FILE for each of several');
  }
  if (texts.length > 1 && options.sizeBytes !== undefined) {
    throw new UsageError('--size goes with one store: create each of several on its own');
  }
  const stores = texts.map((text) => parseStore(text, options.name));
  const names = new Set<string>();
  for (const { name } of stores) {
    if (names.has(name)) {
      throw new UsageError(`two stores would be named "${name}": write NAME=FILE to name them`);
    }
    names.add(name);
  }
  return stores;
}

/**
 * A STORE argument as it stands in a file in `folder`: relative paths begin there. Throws a
 * `UsageError`.
 */
export function resolveStore(folder: string, text: string): string {
  const { source } = parseStore(text, undefined);
  if (source.startsWith(`${MEMORY}:`)) return text;
  return text.slice(0, lengthOfName(text)) + resolve(folder, source);
}

/** Of `NAME=`, or 0. */
function lengthOfName(text: string): number {
  const equals = text.indexOf('=');
  return text.slice(0, Math.max(equals, 0)).includes('/') ? 0 : equals + 1;
}

function parseStore(text: string, givenName: string | undefined): StoreSpec {
  const sourceAt = lengthOfName(text);
  const named = sourceAt > 0;
  if (named && givenName !== undefined) {
    throw new UsageError(
      `"${text}" has a name and so has --name: give one, or write ./${text} for a file of that name`,
    );
  }
  const source = text.slice(sourceAt);
  if (source === '') throw new UsageError(`"${text}" has no file: write NAME=FILE or FILE`);
  checkMemory(source);
  const name = named ? text.slice(0, sourceAt - 1) : (givenName ?? defaultName(source));
  checkName(name);
  return { name, source };
}

function defaultName(source: string): string {
  if (source.startsWith(`${MEMORY}:`)) return MEMORY;
  return basename(source, extname(source));
}

/** Seen here already, since it is typed: an exit code of 2. */
function checkMemory(source: string): void {
  if (!source.startsWith(`${MEMORY}:`)) return;
  parseTyped(() => checkSize(source, parseSize(source.slice(MEMORY.length + 1))));
}

function checkName(name: string): void {
  const lengthBytes = Buffer.byteLength(name);
  if (lengthBytes >= 1 && lengthBytes <= STORE_NAME_BYTES_MAX && !/[\p{Cc}/]/u.test(name)) return;
  throw new UsageError(
    `${JSON.stringify(name)} cannot name an export: give a name of 1 to ${STORE_NAME_BYTES_MAX} bytes with no / and no control characters`,
    'DST_E_EXPORT_NAME',
  );
}
