import { rm } from 'node:fs/promises';
import { DstError } from '../errors.js';
import { devicePath } from '../nbd/kernel/device-name.js';
import { whoUses } from '../nbd/kernel/device-usage.js';
import { NbdDriver } from '../nbd/kernel/driver.js';
import { scanPartitions } from '../nbd/kernel/partitions.js';
import { controlSocketPath } from './control-server.js';
import { DeviceFile, type DeviceRecord } from './device-record.js';
import { isLeftInKernel, waitsInKernel } from './orphan.js';

/** What detaching asks of the kernel: one seam, so that tests need none. */
export interface OrphanKernel {
  waitsInKernel(record: DeviceRecord): Promise<boolean>;
  isLeftInKernel(index: number): Promise<boolean>;
  whoUses(index: number): Promise<string[]>;
  disconnect(index: number): Promise<void>;
}

const KERNEL: OrphanKernel = {
  waitsInKernel,
  isLeftInKernel,
  whoUses,
  disconnect: async (index) => {
    const driver = await NbdDriver.open();
    try {
      await driver.disconnect(index);
      // Its partitions stay until somebody looks again; where nobody can, they are in no way.
      await scanPartitions(index).catch(() => {});
    } finally {
      driver.close();
    }
  },
};

/**
 * Detaches a device whose client is gone, and forgets it: I/O that waited fails. Returns the
 * record that there was, if one of use.
 *
 * Throws DST_E_DEVICE_BUSY where it is in use, unless by `force`; DST_E_DEVICE_IN_USE where a
 * client has come for it, and DST_E_NOT_ATTACHED where it is gone meanwhile; what the kernel says.
 */
export async function detachOrphan(
  index: number,
  force: boolean,
  kernel: OrphanKernel = KERNEL,
): Promise<DeviceRecord | undefined> {
  const file = await DeviceFile.lock(index);
  try {
    const record = file.load();
    if (!(await waits(index, record, kernel))) {
      throw new DstError('DST_E_NOT_ATTACHED', `${devicePath(index)} is detached already`);
    }
    if (!force) refuseInUse(index, await kernel.whoUses(index));
    await kernel.disconnect(index);
    file.remove();
    // Its client left it, and no other can have made one: the device is locked.
    await rm(controlSocketPath(index), { force: true });
    return record;
  } finally {
    file.release();
  }
}

async function waits(
  index: number,
  record: DeviceRecord | undefined,
  kernel: OrphanKernel,
): Promise<boolean> {
  if (record !== undefined && (await kernel.waitsInKernel(record))) return true;
  return kernel.isLeftInKernel(index);
}

function refuseInUse(index: number, uses: readonly string[]): void {
  if (uses.length === 0) return;
  throw new DstError(
    'DST_E_DEVICE_BUSY',
    `${devicePath(index)} is in use: ${uses.join(', ')}: connect again to go on, or end that, or detach it all the same with --force`,
  );
}
