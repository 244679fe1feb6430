import type { TestContext } from 'node:test';
import type { BlockDevice } from '../../src/block/device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { ExportServer } from '../../src/export/server.js';
import { silentLog } from '../../src/log.js';
import { MemoryNetwork, type MemoryNetworkOptions } from '../../src/transport/memory.js';
import { CHECKSUM_NAMES, type ChecksumName } from '../../wasm/checksums.js';
import { FaultyDevice } from '../support/faulty-device.js';
import { RawClient } from '../support/raw-client.js';

export const SIZE_BYTES = 1024 * 1024;

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
  } = {},
): TestExport {
  const network = new MemoryNetwork(options.network);
  const device = new FaultyDevice(options.inner ?? new MemoryDevice(SIZE_BYTES));
  const other = new MemoryDevice(SIZE_BYTES, { readOnly: true });
  const server = new ExportServer({
    stores: [
      { name: 'vol', device },
      { name: 'other', device: other },
    ],
    checksums: options.checksums ?? CHECKSUM_NAMES,
    log: silentLog,
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
