import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { DstError, reasonOf } from '../errors.js';
import { CONTROL_CLOSE_TIMEOUT_MS } from '../limits.js';
import type { Log } from '../log.js';
import { deviceName } from '../nbd/kernel/device-name.js';
import { listenOnSocketFile, type SocketFile } from '../nbd/unix-socket.js';
import { resolvesWithin } from '../within.js';
import {
  type ClientStatus,
  COUNT_PARAMETER,
  DISCONNECT_PATH,
  FORCE_PARAMETER,
  LANES_PATH,
  STATUS_PATH,
} from './control-messages.js';
import { clientsFolder, makeRuntimeFolder } from './runtime-folder.js';

/** Of no consequence: what a request's path is read against. */
const BASE = 'http://client';

export interface ControlOptions {
  /** Of the kernel's device that is served; undefined for a client that has none. */
  readonly index?: number | undefined;
  status(): ClientStatus;
  /**
   * Ends what is served, as a signal does, and resolves when all is on the export; rejects with
   * why it goes on. It must not wait for `Control.close`, which waits for the answer.
   */
  disconnect(force: boolean): Promise<void>;
  /** Has it use so many lanes, as `parseLanes` reads it; absent before it is connected. */
  chooseLanes?(count: string): void;
  readonly log: Log;
}

/** The control socket of this process. */
export interface Control {
  /** Removes the socket, when answers that are due have gone out: within `graceMs`, about 1 s. */
  close(graceMs?: number): Promise<void>;
}

/**
 * Answers `dst-quic status`, `dst-quic disconnect` and `dst-quic lanes`: HTTP over a Unix socket
 * that only its owner may connect to. Where there can be no such socket, the log says so and it is
 * done without: whoever wants to use a device can do so unseen.
 */
export function startControl(options: ControlOptions): Promise<Control> {
  const path = controlSocketPath(options.index);
  const absent = '"dst-quic status" will not show this client';
  return serveControl({ path, absent, carryOut: (asked) => carryOut(options, asked), ...options });
}

/** What was asked for: "GET /status", and the parameters of that. */
export interface Asked {
  readonly wanted: string;
  readonly parameters: URLSearchParams;
}

export interface ControlServing {
  readonly path: string;
  /** Resolves to the answer, or rejects with why there is none. */
  readonly carryOut: (asked: Asked) => Promise<unknown>;
  /** What is amiss where there can be no socket. */
  readonly absent: string;
  readonly log: Log;
}

/** Answers on a control socket of any kind. Where there can be none, the log says so. */
export async function serveControl(serving: ControlServing): Promise<Control> {
  const server = createServer((request, response) => void answer(serving, request, response));
  try {
    makeRuntimeFolder(dirname(serving.path));
    const file = await listenOnSocketFile(server, serving.path);
    return { close: (graceMs = CONTROL_CLOSE_TIMEOUT_MS) => close(server, file, graceMs) };
  } catch (error) {
    if (!(error instanceof DstError)) throw error;
    const { code, message } = error;
    serving.log.info({ code }, `${serving.absent}: ${message}`);
    return { close: async () => {} };
  }
}

/** Where the client of a device, or without one this process, has its control socket. */
export function controlSocketPath(index: number | undefined): string {
  const name = index === undefined ? `${process.pid}` : deviceName(index);
  return join(clientsFolder(), `${name}.sock`);
}

async function close(server: Server, file: SocketFile, graceMs: number): Promise<void> {
  await file.remove();
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  if (!(await resolvesWithin(closed, graceMs))) server.closeAllConnections();
}

async function answer(
  { carryOut }: ControlServing,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // One request a connection: nobody keeps one that an ending process would wait for.
  response.setHeader('connection', 'close');
  try {
    const { pathname, searchParams: parameters } = new URL(request.url ?? '/', BASE);
    const wanted = `${request.method} ${pathname}`;
    reply(response, 200, await carryOut({ wanted, parameters }));
  } catch (error) {
    const { code, message } = describe(error);
    reply(response, error instanceof DstError ? 409 : 500, { code, message });
  }
}

async function carryOut(options: ControlOptions, { wanted, parameters }: Asked): Promise<unknown> {
  if (wanted === `GET ${STATUS_PATH}`) return options.status();
  if (wanted === `POST ${LANES_PATH}` && options.chooseLanes !== undefined) {
    options.chooseLanes(parameters.get(COUNT_PARAMETER) ?? '');
    return {};
  }
  if (wanted !== `POST ${DISCONNECT_PATH}`) {
    throw new DstError(
      'DST_E_CONTROL',
      `this client does not know "${wanted}": it may not be connected yet, or be of another version`,
    );
  }
  await options.disconnect(parameters.get(FORCE_PARAMETER) === 'true');
  return {};
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(body));
}

function describe(error: unknown): { code: string; message: string } {
  if (error instanceof DstError) return { code: error.code, message: error.message };
  return { code: 'DST_E_UNEXPECTED', message: reasonOf(error) };
}
