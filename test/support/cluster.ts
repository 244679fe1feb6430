import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlockDevice } from '../../src/block/device.js';
import type { Dial } from '../../src/client/dial.js';
import { RemoteDevice } from '../../src/client/remote-device.js';
import type { SessionOptions } from '../../src/client/session-options.js';
import { ExportServer } from '../../src/export/server.js';
import { silentLog } from '../../src/log.js';
import { MemoryNetwork, type MemoryNetworkOptions } from '../../src/transport/memory.js';
import { generateCertificates } from '../../src/trust/generate.js';
import { loadServerIdentity } from '../../src/trust/identity.js';
import { loadServerTrust } from '../../src/trust/server-trust.js';
import { CHECKSUM_NAMES, type ChecksumName } from '../../wasm/checksums.js';
import { type TransportName, WIRES, type Wire } from './transports.js';

/** An export and a way to reach it, over one transport. */
export interface Cluster {
  readonly server: ExportServer;
  readonly dial: Dial;
  /** Every connection is lost, as when a link is cut; redialling works. */
  cut(): void;
  connect(options?: Partial<SessionOptions>): Promise<RemoteDevice>;
  close(): Promise<void>;
}

/** Starts an export of `device` as "vol" on a transport, with a way to connect to it. */
export function startCluster(
  transport: TransportName,
  device: BlockDevice,
  options: { checksums?: readonly ChecksumName[]; network?: MemoryNetworkOptions } = {},
): Promise<Cluster> {
  const server = new ExportServer({
    stores: [{ name: 'vol', device }],
    checksums: options.checksums ?? CHECKSUM_NAMES,
    log: silentLog,
  });
  if (transport === 'memory') return onMemory(server, options.network);
  return onNetwork(server, WIRES[transport]);
}

async function onMemory(
  server: ExportServer,
  options: MemoryNetworkOptions | undefined,
): Promise<Cluster> {
  const network = new MemoryNetwork(options);
  server.attach(network.listen());
  return cluster(
    server,
    (request) => network.dial(request),
    () => network.cut(),
    async () => {},
  );
}

async function onNetwork(server: ExportServer, wire: Wire): Promise<Cluster> {
  const directory = await mkdtemp(join(tmpdir(), 'dst-quic-test-'));
  const { files } = await generateCertificates({ directory, hosts: ['127.0.0.1'], days: 1 });
  const identity = loadServerIdentity({
    certificatePath: files.serverCertificate,
    keyPath: files.serverKey,
  });
  const trust = loadServerTrust(files.caCertificate);
  const listeners = await wire.listen(identity);
  for (const listener of listeners) server.attach(listener);
  const port = listeners[0]?.address.port ?? 0;
  const open = new Set<{ close(reason: string): void }>();
  return cluster(
    server,
    async (request) => {
      const connection = await wire.dial(port, trust, request);
      open.add(connection);
      connection.onClose(() => open.delete(connection));
      return connection;
    },
    () => {
      for (const connection of open) connection.close('the link was cut');
    },
    () => rm(directory, { recursive: true, force: true }),
  );
}

function cluster(
  server: ExportServer,
  dial: Dial,
  cut: () => void,
  cleanUp: () => Promise<void>,
): Cluster {
  const devices: RemoteDevice[] = [];
  return {
    server,
    dial,
    cut,
    async connect(options = {}) {
      const device = await RemoteDevice.connect({
        dial,
        exportName: 'vol',
        checksums: ['blake3'],
        readOnly: false,
        log: silentLog,
        ...options,
      });
      devices.push(device);
      return device;
    },
    async close() {
      for (const device of devices) await device.close();
      await server.shutdown(1_000);
      await cleanUp();
    },
  };
}
