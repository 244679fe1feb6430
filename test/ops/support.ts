import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/log.js';
import type { ClientStatus } from '../../src/ops/control-messages.js';
import { type Control, type ControlOptions, startControl } from '../../src/ops/control-server.js';
import { currentBootId, type DeviceRecord } from '../../src/ops/device-record.js';
import type { Cleanup } from '../support/cleanup.js';

/** A runtime folder of the test's own, for this process and those that it starts. */
export function ownRuntimeFolder(t: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), 'dst-quic-ops-'));
  const before = process.env.DST_QUIC_RUNTIME_DIR;
  process.env.DST_QUIC_RUNTIME_DIR = folder;
  t.after(() => {
    if (before === undefined) delete process.env.DST_QUIC_RUNTIME_DIR;
    else process.env.DST_QUIC_RUNTIME_DIR = before;
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** What a client might have left about a device, written in this run of the machine. */
export function deviceRecord(changes: Partial<DeviceRecord> = {}): DeviceRecord {
  return {
    version: 1,
    bootId: currentBootId(),
    index: 3,
    address: 'quic://storage.example:4433/disk',
    exportName: 'disk',
    connections: 2,
    sizeBytes: 1 << 30,
    blockBytes: 4096,
    transmissionFlags: 1,
    since: '2026-11-23T01:02:03.000Z',
    session: {
      id: Buffer.alloc(16, 7),
      epoch: 5,
      transaction: 2 ** 40,
      verifier: Buffer.alloc(16, 9),
      unflushed: true,
    },
    ...changes,
  };
}

/** How a client without a kernel device might do. */
export function clientStatus(changes: Partial<ClientStatus> = {}): ClientStatus {
  return {
    pid: process.pid,
    export: 'disk',
    address: 'quic://storage.example:4433/disk',
    state: 'connected',
    sizeBytes: 1 << 30,
    readOnly: false,
    inFlight: 2,
    inFlightBytes: 8192,
    unflushedBytes: 4096,
    since: '2026-11-23T01:02:03.000Z',
    ...changes,
  };
}

/** A client that answers on its control socket until the test ends. */
export async function startClient(
  t: Cleanup,
  changes: Partial<ControlOptions> = {},
): Promise<Control> {
  const control = await startControl({
    status: () => clientStatus(),
    disconnect: async () => {},
    log: silentLog,
    ...changes,
  });
  t.after(() => control.close());
  return control;
}
