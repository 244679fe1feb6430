import { once } from 'node:events';
import type { Stats } from 'node:fs';
import { access, chmod, constants, link, lstat, mkdtemp, rm, unlink } from 'node:fs/promises';
import { createConnection, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { DstError } from '../errors.js';
import { SOCKET_PATH_BYTES_MAX, SOCKET_PROBE_TIMEOUT_MS } from '../limits.js';

/** The socket is bound as `.dst-XXXXXX/s`, in the folder of its path. */
const PRIVATE_FOLDER = '.dst-';
const BOUND_NAME = 's';

/** A socket file of ours. */
export interface SocketFile {
  readonly path: string;
  /** Removes the file, unless somebody else's is in its place by now. */
  remove(): Promise<void>;
}

/**
 * Throws what `listenOnSocketFile` would, as far as it can be known before: whoever waits for
 * something to serve learns early that he has nowhere to serve it.
 */
export async function checkSocketPath(path: string): Promise<void> {
  const folder = dirname(path);
  checkLength(path, path);
  checkLength(join(folder, `${PRIVATE_FOLDER}XXXXXX`, BOUND_NAME), path);
  await checkFree(path);
  await access(folder, constants.W_OK).catch((error) => {
    throw unusable(path, error);
  });
}

/**
 * Makes `server` listen at `path`, with mode 0600 from the first moment on.
 *
 * A socket that a dead process left is replaced; whatever else is there is not touched.
 * Throws DST_E_SOCKET_IN_USE where somebody listens there, DST_E_SOCKET_PATH where the
 * path will not do.
 *
 * The socket is bound in a private folder and linked to its path when it is ready. So
 * nobody can connect before its mode is set, a file that appears meanwhile is never
 * overwritten (link fails), and libuv, which removes the name that it bound when the
 * server closes, does not remove a successor's file.
 */
export async function listenOnSocketFile(server: Server, path: string): Promise<SocketFile> {
  const folder = dirname(path);
  checkLength(path, path);
  checkLength(join(folder, `${PRIVATE_FOLDER}XXXXXX`, BOUND_NAME), path);
  const stale = await checkFree(path);
  if (stale !== undefined) await removeOurs(path, stale);
  const privateFolder = await makePrivateFolder(path);
  try {
    return await bindAndLink(server, join(privateFolder, BOUND_NAME), path);
  } finally {
    await rm(privateFolder, { recursive: true, force: true });
  }
}

async function makePrivateFolder(path: string): Promise<string> {
  try {
    return await mkdtemp(join(dirname(path), PRIVATE_FOLDER));
  } catch (error) {
    throw unusable(path, error);
  }
}

async function bindAndLink(server: Server, bound: string, path: string): Promise<SocketFile> {
  try {
    const listening = once(server, 'listening');
    server.listen(bound);
    await listening;
    await chmod(bound, 0o600);
    await link(bound, path);
    const ours = await lstat(path);
    return { path, remove: () => removeOurs(path, ours) };
  } catch (error) {
    server.close();
    if (codeOf(error) === 'EEXIST') throw inUse(path);
    throw unusable(path, error);
  }
}

function checkLength(bound: string, path: string): void {
  const excessBytes = Buffer.byteLength(bound) - SOCKET_PATH_BYTES_MAX;
  if (excessBytes <= 0) return;
  throw new DstError(
    'DST_E_SOCKET_PATH',
    `${path} is ${excessBytes} bytes too long for a socket: choose a shorter path`,
  );
}

/** What a dead process left at `path`, or nothing. */
async function checkFree(path: string): Promise<Stats | undefined> {
  const found = await statOf(path);
  if (found === undefined) return undefined;
  if (!found.isSocket()) {
    throw new DstError(
      'DST_E_SOCKET_PATH',
      `${path} is there and is not a socket: choose another path or move it away`,
    );
  }
  if (await somebodyListens(path)) throw inUse(path);
  return found;
}

async function somebodyListens(path: string): Promise<boolean> {
  const probe = createConnection(path);
  try {
    await once(probe, 'connect', { signal: AbortSignal.timeout(SOCKET_PROBE_TIMEOUT_MS) });
    return true;
  } catch (error) {
    if (codeOf(error) === 'ECONNREFUSED' || codeOf(error) === 'ENOENT') return false;
    // A full backlog (EAGAIN) or a listener that is not ours to reach is alive all the same.
    if (codeOf(error) === 'EAGAIN' || codeOf(error) === 'ABORT_ERR') return true;
    throw unusable(path, error);
  } finally {
    probe.destroy();
  }
}

async function removeOurs(path: string, ours: Stats): Promise<void> {
  const found = await statOf(path);
  if (found === undefined || found.ino !== ours.ino || found.dev !== ours.dev) return;
  await unlink(path).catch((error) => {
    if (codeOf(error) !== 'ENOENT') throw unusable(path, error);
  });
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw unusable(path, error);
  }
}

function inUse(path: string): DstError {
  return new DstError(
    'DST_E_SOCKET_IN_USE',
    `somebody listens on ${path} already: end that process or choose another path`,
  );
}

function unusable(path: string, cause: unknown): DstError {
  const why = codeOf(cause) ?? String(cause);
  return new DstError(
    'DST_E_SOCKET_PATH',
    `no socket ${basename(path)} can be made in ${dirname(path)} (${why}): check that the folder is there and yours to write`,
    { cause },
  );
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
