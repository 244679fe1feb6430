/** `dst-quic connect --device`, as its user sees it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { formatAddress } from '../../src/client/address.js';
import { type Outcome, type Running, runCommand, startCommand } from '../cli/command.js';
import { type ExportProcess, STORE_NAME } from '../faults/processes.js';
import type { Cleanup } from '../support/cleanup.js';
import { readyUri } from '../support/end-to-end.js';
import { connectedDevices, detachAllBut } from './devices.js';

export interface DeviceClientSetup {
  /** Where its certificates are, and its runtime files go. */
  readonly folder: string;
  readonly exporting: { readonly address: ExportProcess['address'] };
  /** What is given as --device. */
  readonly device: string;
  readonly args?: readonly string[];
}

export class DeviceClient {
  /** The path that it said it serves. */
  readonly device: string;
  readonly running: Running;
  /** Where it runs, and its runtime files are. */
  readonly folder: string;

  private constructor(device: string, folder: string, running: Running) {
    this.device = device;
    this.folder = folder;
    this.running = running;
  }

  /** Starts one; resolves when its device is ready. */
  static async start(t: Cleanup, setup: DeviceClientSetup): Promise<DeviceClient> {
    const before = connectedDevices();
    const running = startClient(t, setup);
    // Whether or not it ever gets ready: killed, it may wait for its own device.
    t.after(() => detachAllBut(before));
    const device = await readyUri(running);
    return new DeviceClient(device, setup.folder, running);
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    const { signal, stderr } = await this.running.stop('SIGKILL');
    assert.equal(signal, 'SIGKILL', `the client ended by itself: ${stderr}`);
  }

  /** Detaches by a signal, which must go well; returns what it logged. */
  async stop(): Promise<string> {
    return endedWell(await this.running.stop());
  }

  /** Waits for its end, which must be a good one; returns what it logged. */
  async ended(): Promise<string> {
    return endedWell(await this.running.outcome);
  }
}

/** Starts a client that may be refused. */
export function startClient(t: Cleanup, setup: DeviceClientSetup): Running {
  const { folder } = setup;
  return startCommand(t, connectWords(setup), { cwd: folder, env: environment(folder) });
}

/** The arguments of `dst-quic`, in the setup's folder. */
export function connectWords({ exporting, device, args = [] }: DeviceClientSetup): string[] {
  const address = formatAddress({ scheme: 'quic', ...exporting.address }, STORE_NAME);
  return ['connect', address, '--cert', 'certs/server.pem', '--device', device, ...args];
}

/** Runs `dst-quic ARGUMENTS` where the clients of this folder are known. */
export function runHere(t: Cleanup, folder: string, ...args: string[]): Promise<Outcome> {
  return runCommand(t, args, { cwd: folder, env: environment(folder) });
}

export function environment(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, DST_QUIC_RUNTIME_DIR: join(folder, 'run') };
}

/** Fails unless a command was refused with this error, and told why. */
export function isRefusal({ code, stdout, stderr }: Outcome, error: string, why: string): void {
  assert.equal(code, 1, stderr);
  assert.equal(stdout, '');
  assert.ok(stderr.includes(`(${error})`), stderr);
  assert.ok(stderr.includes(why), stderr);
}

function endedWell({ code, stderr }: Outcome): string {
  assert.equal(code, 0, stderr);
  return stderr;
}
