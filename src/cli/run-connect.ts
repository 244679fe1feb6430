import { createLogger } from '../ops/logger.js';
import type { ConnectOptions } from './connect.js';

/** Serves a remote store until it is asked to end; resolves when what was written is flushed. */
export async function runConnect(address: string, options: ConnectOptions): Promise<void> {
  const log = await createLogger({ level: options.logLevel, format: options.logFormat });
  if (options.device === undefined) {
    const { serveBridge } = await import('./serve-bridge.js');
    await serveBridge(address, options, log);
  } else {
    const { serveDevice } = await import('./serve-device.js');
    await serveDevice(address, { ...options, device: options.device }, log);
  }
}
