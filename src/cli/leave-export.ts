import { DstError } from '../errors.js';
import { resolvesWithin } from '../within.js';

/** What of a device its end needs. */
export interface LeavingDevice {
  readonly capabilities: { readonly readOnly: boolean };
  flush(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Flushes what was written and closes the device. Rejects with DST_E_UNFLUSHED where the export
 * does not confirm the flush within `timeoutMs`, or as a flush does; the device is closed then too.
 */
export async function leaveExport(device: LeavingDevice, timeoutMs: number): Promise<void> {
  try {
    if (device.capabilities.readOnly) return;
    if (!(await resolvesWithin(device.flush(), timeoutMs))) throw unflushed();
  } finally {
    await device.close();
  }
}

function unflushed(): DstError {
  return new DstError(
    'DST_E_UNFLUSHED',
    'the export did not confirm a flush in time: what was written since the last flush may be lost, so check it',
  );
}
