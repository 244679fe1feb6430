import { mkdirSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { DstError } from '../errors.js';

const NAME = 'dst-quic';
const SYSTEM_FOLDER = join('/run', NAME);

/** What is in it says which processes do what, and how to end them. */
const FOLDER_MODE = 0o700;

/**
 * Where the processes of one user leave, until the machine restarts, what others of them must
 * find: sockets, and what is known of attached devices. It is DST_QUIC_RUNTIME_DIR; else for root
 * /run/dst-quic, however root came to be it, as a service and a shell must find each other; else
 * as the XDG Base Directory Specification has it. It need not exist yet.
 */
export function runtimeFolder(
  environment: NodeJS.ProcessEnv = process.env,
  userId = process.getuid?.(),
): string {
  const { DST_QUIC_RUNTIME_DIR: given = '', XDG_RUNTIME_DIR: user = '' } = environment;
  if (given !== '') return resolve(given);
  // The specification has relative ones ignored.
  return userId !== 0 && isAbsolute(user) ? join(user, NAME) : SYSTEM_FOLDER;
}

/** Records and locks of the kernel's devices. */
export function devicesFolder(): string {
  return join(runtimeFolder(), 'devices');
}

/** Control sockets of clients. */
export function clientsFolder(): string {
  return join(runtimeFolder(), 'clients');
}

/** Control sockets of exports. */
export function exportsFolder(): string {
  return join(runtimeFolder(), 'exports');
}

/** The socket of the bridge called `name`, where no path is given; its folder is made. */
export function bridgeSocketPath(name: string): string {
  const folder = runtimeFolder();
  makeRuntimeFolder(folder);
  return join(folder, `${encodeURIComponent(name) || 'default'}.sock`);
}

/** Makes a folder of the above, with its parents. Throws DST_E_RUNTIME_FOLDER. */
export function makeRuntimeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
  } catch (cause) {
    throw unusableFolder(`${folder} cannot be made`, cause);
  }
}

/** DST_E_RUNTIME_FOLDER: `what` of a file or folder in the runtime folder failed. */
export function unusableFolder(what: string, cause: unknown): DstError {
  const why = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  return new DstError(
    'DST_E_RUNTIME_FOLDER',
    `${what} (${why}): make room and see that you may write there, or set DST_QUIC_RUNTIME_DIR to another folder`,
    { cause },
  );
}
