import { formatHostPort, parseAddress } from '../client/address.js';
import { DstError } from '../errors.js';
import { DEVICE_LOOK_PATIENCE_MS } from '../limits.js';
import type { Log } from '../log.js';
import { type DeviceChoice, devicePath } from '../nbd/kernel/device-name.js';
import { ownerOf } from '../nbd/kernel/device-usage.js';
import type { NbdDriver } from '../nbd/kernel/driver.js';
import { DeviceFile, type DeviceRecord, knownDevices } from '../ops/device-record.js';
import { isLeftInKernel, waitsInKernel } from '../ops/orphan.js';

/** What is asked of the kernel: a seam, so that tests need none. */
export interface KernelView {
  readonly driver: Pick<NbdDriver, 'connected' | 'firstFree'>;
  readonly waitsInKernel: (record: DeviceRecord) => Promise<boolean>;
  readonly isLeftInKernel: (index: number) => Promise<boolean>;
  readonly ownerOf: typeof ownerOf;
}

/** The kernel as it is. */
export function kernelView(driver: NbdDriver): KernelView {
  return { driver, waitsInKernel, isLeftInKernel, ownerOf };
}

/** A device that is this process's to attach. */
export interface ClaimedDevice {
  readonly index: number;
  /** Locked; to be released by whoever asked for the device. */
  readonly file: DeviceFile;
  /** Of the client before, which is gone: the kernel has the device yet, and waits. */
  readonly left: DeviceRecord | undefined;
}

/**
 * Locks the chosen device. 'auto' is first of all one that waits for the same store, then the
 * first that is free. Throws DST_E_DEVICE_IN_USE, which says by whom and what to do.
 */
export async function claimDevice(
  choice: DeviceChoice,
  address: string,
  view: KernelView,
  log: Log,
): Promise<ClaimedDevice> {
  if (choice !== 'auto') return claim(choice.index, address, view, { log });
  return (await claimWaiting(address, view, log)) ?? (await claimFree(address, view, log));
}

async function claimWaiting(
  address: string,
  view: KernelView,
  log: Log,
): Promise<ClaimedDevice | undefined> {
  const attached = new Set(await view.driver.connected());
  for (const { index, record, served } of await knownDevices()) {
    if (served || record === undefined || !attached.has(index)) continue;
    if (!isSameStore(record.address, address)) continue;
    // Passed over, it would wait on, and the store be attached a second time.
    const options = { log, patienceMs: DEVICE_LOOK_PATIENCE_MS };
    const claimed = await claimIfFree(index, address, view, options);
    if (claimed !== undefined) return claimed;
  }
  return undefined;
}

/** Locks the first device that is free, and none of `taken`. Throws DST_E_DEVICE_IN_USE. */
export async function claimFree(
  address: string,
  view: KernelView,
  log: Log,
  taken = new Set<number>(),
): Promise<ClaimedDevice> {
  for (;;) {
    const index = await view.driver.firstFree(taken);
    const claimed = await claimIfFree(index, address, view, { log, patienceMs: 0 });
    if (claimed !== undefined) return claimed;
    taken.add(index);
  }
}

async function claimIfFree(
  index: number,
  address: string,
  view: KernelView,
  options: { log: Log; patienceMs: number },
): Promise<ClaimedDevice | undefined> {
  try {
    return await claim(index, address, view, options);
  } catch (error) {
    if (error instanceof DstError && error.code === 'DST_E_DEVICE_IN_USE') return undefined;
    throw error;
  }
}

async function claim(
  index: number,
  address: string,
  view: KernelView,
  options: { log: Log; patienceMs?: number },
): Promise<ClaimedDevice> {
  const file = await DeviceFile.lock(index, options);
  try {
    return { index, file, left: await whatIsLeft(index, file, address, view) };
  } catch (error) {
    file.release();
    throw error;
  }
}

/** The lock is ours, so that no client serves the device; the kernel may have it all the same. */
async function whatIsLeft(
  index: number,
  file: DeviceFile,
  address: string,
  view: KernelView,
): Promise<DeviceRecord | undefined> {
  if (!(await view.driver.connected()).includes(index)) {
    file.remove();
    return undefined;
  }
  const record = file.load();
  if (record === undefined || !(await view.waitsInKernel(record))) throw await foreign(index, view);
  if (!isSameStore(record.address, address)) throw otherStore(record);
  return record;
}

/** Whether two addresses lead to one store, by whichever transport. */
function isSameStore(one: string, other: string): boolean {
  const [a, b] = [parseAddress(one), parseAddress(other)];
  return formatHostPort(a) === formatHostPort(b) && a.exportName === b.exportName;
}

async function foreign(index: number, view: KernelView): Promise<DstError> {
  const owner = await view.ownerOf(index);
  const by =
    owner === undefined
      ? 'a process that is gone, and not by a dst-quic that could be continued'
      : `process ${owner.processId} (${owner.name})`;
  const path = devicePath(index);
  const tool = (await view.isLeftInKernel(index)) ? 'dst-quic disconnect' : 'nbd-client -d';
  return new DstError(
    'DST_E_DEVICE_IN_USE',
    `${path} is attached by ${by}: detach it first ("${tool} ${path}"), or take another with --device auto`,
  );
}

function otherStore({ index, address }: DeviceRecord): DstError {
  const path = devicePath(index);
  return new DstError(
    'DST_E_DEVICE_IN_USE',
    `${path} is attached to ${address}, whose client is gone: connect to that to go on with it, or detach it first ("dst-quic disconnect ${path}")`,
  );
}
