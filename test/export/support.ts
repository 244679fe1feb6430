import type { TestContext } from 'node:test';
import type { BlockDevice } from '../../src/block/device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { ExportServer, type ExportServerOptions } from '../../src/export/server.js';
import type { ClaimStore } from '../../src/export/store.js';
import { type Log, silentLog } from '../../src/log.js';
import { MemoryNetwork, type MemoryNetworkOptions } from '../../src/transport/memory.js';
import { CHECKSUM_NAMES, type ChecksumName } from '../../wasm/checksums.js';
import { FaultyDevice } from '../support/faulty-device.js';
import { RawClient } from '../support/raw-client.js';

export const SIZE_BYTES = 1024 * 1024;

/** A log whose lines, from "info" up, end up in a list. */
export function noting(lines: { details: unknown; line: unknown }[]): Log {
  const note = (details: unknown, line?: unknown) => {
    lines.push(line === undefined ? { details: {}, line: details } : { details, line });
  };
  return { ...silentLog, info: note, warn: note, error: note };
}

export interface TestExport {
  readonly server: ExportServer;
  readonly device: FaultyDevice;
  readonly network: MemoryNetwork;
  /** A new connection, of a session of its own or of one that is given. */
  connect(session?: Buffer<ArrayBuffer>): Promise<RawClient>;
}

/** An export of "vol" and "other" on an in-memory network, which ends with the test. */
export function newExport(
  t: TestContext,
  options: {
    inner?: BlockDevice;
    checksums?: readonly ChecksumName[];
    network?: MemoryNetworkOptions;
    claimStore?: ClaimStore;
  } & Partial<Omit<ExportServerOptions, 'stores' | 'checksums'>> = {},
): TestExport {
  const { inner, network: behaviour, checksums, claimStore, ...serverOptions } = options;
  const network = new MemoryNetwork(behaviour);
  const device = new FaultyDevice(inner ?? new MemoryDevice(SIZE_BYTES));
  const other = new MemoryDevice(SIZE_BYTES, { readOnly: true });
  const server = new ExportServer({
    stores: [
      { name: 'vol', device, ...(claimStore === undefined ? {} : { claimStore }) },
      { name: 'other', device: other },
    ],
    checksums: checksums ?? CHECKSUM_NAMES,
    log: silentLog,
    ...serverOptions,
  });
  server.attach(network.listen());
  t.after(async () => {
    network.cut();
    if (!server.draining) await server.shutdown(0);
  });
  return {
    server,
    device,
    network,
    connect: async (session) => new RawClient(await network.dial(), session),
  };
}
