import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { failedWith } from '../block/system-error.js';
import { DstError, type DstErrorCode, reasonOf } from '../errors.js';
import { CONTROL_STATUS_TIMEOUT_MS } from '../limits.js';
import {
  type ClientStatus,
  COUNT_PARAMETER,
  DISCONNECT_PATH,
  type ExportStatus,
  FORCE_PARAMETER,
  LANES_PATH,
  readClientStatus,
  readExportStatus,
  STATUS_PATH,
} from './control-messages.js';
import { clientsFolder, exportsFolder } from './runtime-folder.js';

/** A client of this user that answers. */
export interface FoundClient {
  readonly socketPath: string;
  readonly status: ClientStatus;
}

export interface FoundClients {
  readonly clients: readonly FoundClient[];
  /** Sockets behind which there is a process that does not answer as it should. */
  readonly silent: readonly string[];
}

/** Asks all clients of this user how they do. Those of dead ones, and of others, are passed over. */
export async function findClients(timeoutMs = CONTROL_STATUS_TIMEOUT_MS): Promise<FoundClients> {
  const paths = socketPaths(clientsFolder());
  const answers = await Promise.all(paths.map((path) => askStatus(path, timeoutMs)));
  return {
    clients: answers.flatMap((answer) => (typeof answer === 'object' ? answer : [])),
    silent: paths.filter((_, index) => answers[index] === 'silent'),
  };
}

/**
 * Has a client end what it serves, and resolves when it has; that takes as long as an export that
 * is away takes to come back. Rejects with the client's own reason where it goes on.
 */
export async function askToDisconnect(socketPath: string, force: boolean): Promise<void> {
  try {
    await ask(socketPath, 'POST', `${DISCONNECT_PATH}?${FORCE_PARAMETER}=${force}`);
  } catch (error) {
    if (error instanceof DstError) throw error;
    throw new DstError(
      'DST_E_CONTROL',
      `the client ended before it had said that all is done (${reasonOf(error)}): see its log`,
      { cause: error },
    );
  }
}

/**
 * Has a client use so many lanes, or "auto", or an export allow so many; what differs is made or
 * given up from then on. Rejects with the reason that it gives.
 */
export async function askForLanes(socketPath: string, count: string): Promise<void> {
  const timeout = AbortSignal.timeout(CONTROL_STATUS_TIMEOUT_MS);
  try {
    await ask(socketPath, 'POST', `${LANES_PATH}?${COUNT_PARAMETER}=${count}`, timeout);
  } catch (error) {
    if (error instanceof DstError) throw error;
    throw new DstError('DST_E_CONTROL', `there was no answer (${reasonOf(error)}): see its log`, {
      cause: error,
    });
  }
}

/** An export of this user that answers. */
export interface FoundExport {
  readonly socketPath: string;
  readonly status: ExportStatus;
}

/** Asks all exports of this user what they offer; those that do not answer are passed over. */
export async function findExports(timeoutMs = CONTROL_STATUS_TIMEOUT_MS): Promise<FoundExport[]> {
  const found = socketPaths(exportsFolder()).map(async (socketPath) => {
    try {
      const answer = await ask(socketPath, 'GET', STATUS_PATH, AbortSignal.timeout(timeoutMs));
      return [{ socketPath, status: readExportStatus(answer) }];
    } catch {
      return [];
    }
  });
  return (await Promise.all(found)).flat();
}

function socketPaths(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.sock'));
    return names.sort().map((name) => join(folder, name));
  } catch {
    return [];
  }
}

async function askStatus(
  socketPath: string,
  timeoutMs: number,
): Promise<FoundClient | 'gone' | 'not ours' | 'silent'> {
  try {
    const answer = await ask(socketPath, 'GET', STATUS_PATH, AbortSignal.timeout(timeoutMs));
    return { socketPath, status: readClientStatus(answer) };
  } catch (error) {
    if (failedWith(error, 'EACCES', 'EPERM')) return 'not ours';
    if (!failedWith(error, 'ECONNREFUSED', 'ENOENT')) return 'silent';
    await removeIfNamedByProcess(socketPath);
    return 'gone';
  }
}

/** A device's socket is left to its next client, who may be about to replace it. */
async function removeIfNamedByProcess(socketPath: string): Promise<void> {
  if (!/\/\d+\.sock$/.test(socketPath)) return;
  // It only is in nobody's way: who may not remove it leaves it there.
  await rm(socketPath, { force: true }).catch(() => {});
}

function ask(
  socketPath: string,
  method: string,
  path: string,
  signal?: AbortSignal,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const options = { socketPath, method, path, agent: false, ...(signal && { signal }) };
    const asking = request(options, (response) => {
      const body = json(response);
      resolve(response.statusCode === 200 ? body : body.then(throwAnswer));
    });
    asking.on('error', reject).end();
  });
}

function throwAnswer(answer: unknown): never {
  const { code, message } = answer as { code?: unknown; message?: unknown };
  throw new DstError(
    /^DST_E_\w+$/.test(`${code}`) ? (code as DstErrorCode) : 'DST_E_CONTROL',
    `${message}`,
  );
}
