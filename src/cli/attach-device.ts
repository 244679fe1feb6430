import type { RemoteDevice } from '../client/remote-device.js';
import type { SessionIdentity } from '../client/session-identity.js';
import { DstError } from '../errors.js';
import type { Log } from '../log.js';
import { KernelAttachment, type KernelDriver } from '../nbd/kernel/attachment.js';
import { checkStillHolds, factsOf } from '../nbd/kernel/device-facts.js';
import { currentBootId } from '../ops/device-record.js';
import { backendName } from '../ops/orphan.js';
import type { ClaimedDevice } from './claim-device.js';
import type { DeviceJournal, DevicePart } from './device-journal.js';
import type { DeviceOptions } from './device-options.js';
import { ServedDevice } from './served-device.js';

export interface AttachDeviceOptions {
  readonly claimed: ClaimedDevice;
  /** Where any device will do: claims another one, instead of one that somebody was quicker to take. */
  readonly claimOther?: ((taken: number) => Promise<ClaimedDevice>) | undefined;
  readonly driver: KernelDriver;
  readonly device: RemoteDevice;
  readonly identity: SessionIdentity;
  readonly journal: DeviceJournal;
  /** As it was typed. */
  readonly address: string;
  readonly exportName: string;
  readonly options: DeviceOptions;
  readonly log: Log;
}

/**
 * Hands a connected device to the kernel, or fresh connections for one that it has. Rejects as
 * the driver does, and with DST_E_EXPORT_CHANGED; the device is closed then, and a record of it
 * stays only where the kernel has it from the client before.
 */
export async function attachDevice(options: AttachDeviceOptions): Promise<ServedDevice> {
  const { claimed, claimOther, device, journal } = options;
  try {
    return await attachClaimed(options);
  } catch (error) {
    if (claimed.left === undefined) journal.end();
    if (claimed.left !== undefined || claimOther === undefined || !isInUse(error)) {
      await device.close();
      throw error;
    }
  }
  const other = await claimOther(claimed.index);
  journal.moveTo(other.file);
  return attachDevice({ ...options, claimed: other });
}

async function attachClaimed(options: AttachDeviceOptions): Promise<ServedDevice> {
  const { claimed, device, journal, log } = options;
  const { left } = claimed;
  if (left !== undefined) checkStillHolds(left, device);
  const part = left ?? newPart(options);
  // Before the kernel has it: if this process died in between, nobody could continue.
  journal.describe(part);
  const attachment = await handOver(options, part);
  return new ServedDevice({ attachment, device, part, journal, log });
}

/** Another runtime folder has other locks, and other programs have none. */
function isInUse(error: unknown): boolean {
  return error instanceof DstError && error.code === 'DST_E_DEVICE_IN_USE';
}

function handOver(
  { claimed, driver, device, identity, options, log }: AttachDeviceOptions,
  part: DevicePart,
): Promise<KernelAttachment> {
  return KernelAttachment.attach({
    driver,
    index: claimed.index,
    device,
    // The kernel keeps to the number that it was given first.
    connections: part.connections,
    deadConnectionTimeoutMs: options.orphanTimeout,
    backend: backendName(identity.id),
    resumed: claimed.left && part,
    log,
  });
}

function newPart(options: AttachDeviceOptions): DevicePart {
  const { claimed, device, address, exportName } = options;
  return {
    version: 1,
    bootId: currentBootId(),
    index: claimed.index,
    address,
    exportName,
    connections: options.options.kernelConnections,
    since: new Date().toISOString(),
    ...factsOf(device),
  };
}
