import { resolve } from 'node:path';
import type { BlockDevice } from '../block/device.js';
import { RemoteDevice } from '../client/remote-device.js';
import { DstError } from '../errors.js';
import { SHUTDOWN_GRACE_MS } from '../limits.js';
import { Bridge } from '../nbd/bridge.js';
import { bridgeSocketPath } from '../nbd/unix-socket.js';
import { createLogger } from '../ops/logger.js';
import { resolvesWithin } from '../within.js';
import type { ConnectOptions } from './connect.js';
import { dialer } from './dialer.js';
import { parseChecksums, parseStore } from './options.js';
import { printLine } from './output.js';
import { tellService } from './service.js';
import { stopRequested } from './shutdown.js';

/** Serves a remote store until a signal comes; resolves when what was written is flushed. */
export async function runConnect(address: string, options: ConnectOptions): Promise<void> {
  const { exportName, ...where } = parseStore(address);
  const checksums = await parseChecksums(options.checksum, 'client');
  const dial = dialer(where, options.cert);
  const log = await createLogger({ level: options.logLevel, format: options.logFormat });
  const readOnly = options.readOnly ?? false;
  const device = await RemoteDevice.connect({ dial, exportName, checksums, readOnly, log });
  log.info({ sizeBytes: device.geometry.sizeBytes }, `connected to ${device.description}`);
  // Absolute, as whoever reads the address that is printed may be in another folder.
  const listen = options.listen ?? {
    path: resolve(options.socket ?? bridgeSocketPath(exportName)),
  };
  const bridge = await Bridge.listen({ exportName, device, listen, log });

  const stop = stopRequested();
  printLine(`ready ${bridge.uri}`);
  await tellService('READY=1', log);
  const reason = await Promise.race([stop, device.session.refused]);
  if (reason instanceof DstError) {
    await bridge.close(0);
    throw reason;
  }
  log.info(`${reason}: ending; another signal ends it at once`);
  await tellService('STOPPING=1', log);
  await end(bridge, device, SHUTDOWN_GRACE_MS);
  log.info('ended: everything that was written is on the export');
}

/** Ends in order, within `graceMs` in all. Rejects with DST_E_UNFLUSHED, or as a flush does. */
async function end(bridge: Bridge, device: BlockDevice, graceMs: number): Promise<void> {
  const deadlineMs = performance.now() + graceMs;
  await bridge.close(graceMs);
  try {
    if (device.capabilities.readOnly) return;
    const flushed = await resolvesWithin(device.flush(), deadlineMs - performance.now());
    if (!flushed) throw unflushed(graceMs);
  } finally {
    await device.close();
  }
}

function unflushed(graceMs: number): DstError {
  return new DstError(
    'DST_E_UNFLUSHED',
    `the export did not confirm a flush within ${graceMs / 1000} s: what was written since the last flush may be lost, so check it`,
  );
}
