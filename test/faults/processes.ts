/** The real command, at both ends, as a fault finds it: killed, frozen, started again. */

import assert from 'node:assert/strict';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type ExportPlace, formatAddress } from '../../src/client/address.js';
import { type Outcome, type Running, startCommand } from '../cli/command.js';
import type { Cleanup } from '../support/cleanup.js';
import { openDescriptors, peakResidentBytes, readyUri } from '../support/end-to-end.js';

/** Starts `dst-quic ARGUMENTS`, perhaps elsewhere than here. */
export type Launch = (t: Cleanup, args: readonly string[], options: SpawnOptions) => Running;

/** The name of the one store, and so of the bridge's device. */
export const STORE_NAME = 'disk';

const BOOT_ID_VARIABLE = 'DST_QUIC_BOOT_ID';
const SOCKET_NAME = 'bridge.sock';

export interface ExportSetup {
  readonly folder: string;
  readonly storePath: string;
  readonly host: string;
  /** More arguments. */
  readonly args?: readonly string[];
  readonly launch?: Launch;
}

/** An export that ends and comes back at the same address. */
export class ExportProcess {
  readonly #t: Cleanup;
  readonly #setup: ExportSetup;
  #running: Running | undefined;
  #port = 0;
  #bootId = 'the first boot';
  #peakBytes = 0;

  private constructor(t: Cleanup, setup: ExportSetup) {
    this.#t = t;
    this.#setup = setup;
  }

  static async start(t: Cleanup, setup: ExportSetup): Promise<ExportProcess> {
    const exporting = new ExportProcess(t, setup);
    await exporting.start();
    return exporting;
  }

  get address(): { host: string; port: number } {
    return { host: this.#setup.host, port: this.#port };
  }

  get child(): ChildProcess {
    assert.ok(this.#running !== undefined, 'the export runs');
    return this.#running.child;
  }

  /** The most that any of its processes had resident. */
  get peakBytes(): number {
    if (this.#running !== undefined) {
      this.#peakBytes = Math.max(this.#peakBytes, peakResidentBytes(this.#running));
    }
    return this.#peakBytes;
  }

  /** Starts it again, on the same boot of the machine unless told another; resolves when it serves. */
  async start(bootId = this.#bootId): Promise<void> {
    const { folder, storePath, host, args = [], launch = startCommand } = this.#setup;
    this.#bootId = bootId;
    this.#running = launch(
      this.#t,
      ['export', `${STORE_NAME}=${storePath}`, '--listen', `${host}:${this.#port}`, ...args],
      { cwd: folder, env: { ...process.env, TMPDIR: folder, [BOOT_ID_VARIABLE]: bootId } },
    );
    this.#port = Number(new URL(await readyUri(this.#running)).port);
  }

  /** Ends it as a crash would; resolves when it is gone. */
  async kill(): Promise<void> {
    const ended = await this.#end('SIGKILL');
    assert.equal(ended.signal, 'SIGKILL', `the export ended by itself: ${ended.stderr}`);
  }

  freeze(): void {
    this.child.kill('SIGSTOP');
  }

  get frozen(): boolean {
    return /^State:\s+T/m.test(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'));
  }

  thaw(): void {
    this.child.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    const ended = await this.#end('SIGTERM');
    assert.equal(ended.code, 0, ended.stderr);
  }

  async #end(signal: NodeJS.Signals): Promise<Outcome> {
    assert.ok(this.peakBytes > 0);
    const running = this.#running;
    assert.ok(running !== undefined, 'the export runs');
    this.#running = undefined;
    return running.stop(signal);
  }
}

/** What `connect` says at its end of how its session went. */
export interface SessionCounters {
  readonly resent: number;
  readonly reconnects: number;
  readonly replayed: number;
}

export interface ClientOptions {
  /** More of them. */
  readonly args?: readonly string[];
  readonly launch?: Launch;
}

/** A client, and what it tells of its session. */
export class ClientProcess {
  readonly socketPath: string;
  readonly #running: Running;

  private constructor(running: Running, socketPath: string) {
    this.#running = running;
    this.socketPath = socketPath;
  }

  /** Resolves when it serves the export that is at this address. */
  static async start(
    t: Cleanup,
    folder: string,
    place: ExportPlace,
    options: ClientOptions = {},
  ): Promise<ClientProcess> {
    const { args = [], launch = startCommand } = options;
    const socketPath = join(folder, SOCKET_NAME);
    const address = formatAddress(place, STORE_NAME);
    // Pinned, so that the certificate need not name every address of a scenario.
    const words = ['connect', address, '--cert', 'certs/server.pem', '--socket', socketPath];
    const running = launch(t, [...words, '--log-format', 'json', ...args], {
      cwd: folder,
      env: { ...process.env, TMPDIR: folder },
    });
    await readyUri(running);
    return new ClientProcess(running, socketPath);
  }

  get child(): ChildProcess {
    return this.#running.child;
  }

  get peakBytes(): number {
    return peakResidentBytes(this.#running);
  }

  /** Ends it as a user would, which must go well. */
  async stop(): Promise<SessionCounters> {
    const { code, stderr } = await this.#running.stop('SIGTERM');
    assert.equal(code, 0, stderr);
    return sessionCounters(stderr);
  }
}

function sessionCounters(log: string): SessionCounters {
  const line = log.split('\n').find((text) => text.includes('"msg":"session ended"'));
  assert.ok(line !== undefined, `the client tells nothing of its session: ${log}`);
  const { resent, reconnects, replayed } = JSON.parse(line);
  return { resent, reconnects, replayed };
}

/** What a process holds open: all descriptors, and the sockets among them. */
export interface Held {
  readonly descriptors: number;
  readonly sockets: number;
}

export function heldBy(process: { readonly child: ChildProcess }): Held {
  const folder = `/proc/${process.child.pid}/fd`;
  const sockets = readdirSync(folder).filter((name) => isSocket(join(folder, name)));
  return { descriptors: openDescriptors(process), sockets: sockets.length };
}

function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('socket:');
  } catch {
    // Closed since the folder was read.
    return false;
  }
}
