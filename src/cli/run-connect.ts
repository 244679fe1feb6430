import { statSync } from 'node:fs';
import { createLogger } from '../ops/logger.js';
import type { ConnectOptions } from './connect.js';
import { UsageError } from './exit.js';

type Options = ConnectOptions & { readonly config?: string };

/** Serves a remote store until it is asked to end; resolves when what was written is flushed. */
export async function runConnect(address: string, options: Options): Promise<void> {
  const log = await createLogger({ level: options.logLevel, format: options.logFormat });
  if (options.device === undefined) {
    const { serveBridge } = await import('./serve-bridge.js');
    await serveBridge(address, options, log);
  } else {
    refuseConfigOfPipe(options.config);
    const { serveDevice } = await import('./serve-device.js');
    await serveDevice(address, { ...options, device: options.device }, log);
  }
}

/** The client of a device executes itself anew, and reads its configuration twice. */
function refuseConfigOfPipe(path: string | undefined): void {
  if (path === undefined || statSync(path, { throwIfNoEntry: false })?.isFile()) return;
  throw new UsageError(
    `the configuration ${path} is no file, and what leads to a device is read twice: give a file`,
    'DST_E_CONFIG',
  );
}
