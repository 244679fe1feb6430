import type { RemoteDevice } from '../client/remote-device.js';
import { SessionIdentity } from '../client/session-identity.js';
import { DstError } from '../errors.js';
import type { Log } from '../log.js';
import { NBD_FLAG_READ_ONLY } from '../nbd/constants.js';
import { type DeviceChoice, devicePath } from '../nbd/kernel/device-name.js';
import { NbdDriver } from '../nbd/kernel/driver.js';
import { scanPartitions } from '../nbd/kernel/partitions.js';
import { applyQueueSettings } from '../nbd/kernel/queue-settings.js';
import { startControl } from '../ops/control-server.js';
import { guardMemory, restartAsIoFlusher } from '../ops/memory-pressure.js';
import { attachDevice } from './attach-device.js';
import { type ClaimedDevice, claimDevice, claimFree, kernelView } from './claim-device.js';
import { type Client, connectClient, setUpClient } from './client-setup.js';
import { clientStatus } from './client-status.js';
import type { ConnectOptions } from './connect.js';
import { DeviceJournal } from './device-journal.js';
import { parseLanes } from './lanes-option.js';
import { printLine } from './output.js';
import type { ServedDevice } from './served-device.js';
import { tellService } from './service.js';
import { stopRefused, stopRequested } from './shutdown.js';

type Options = ConnectOptions & { readonly device: DeviceChoice };

/**
 * Serves a remote store as one of the kernel's block devices, until it is detached: by a signal
 * or `dst-quic disconnect`, which are refused while it is in use, or by somebody else.
 *
 * A device that the kernel has from a client which is gone is taken over, with its session.
 */
export async function serveDevice(address: string, options: Options, log: Log): Promise<void> {
  await restartAsIoFlusher(log, Object.values(options).map(String));
  const driver = await NbdDriver.open();
  try {
    const claimed = await claimDevice(options.device, address, kernelView(driver), log);
    const journal = new DeviceJournal(claimed.file, claimed.left);
    try {
      const client = await setUpClient(address, options, log);
      await serveClaimed({ claimed, driver, client, journal, options });
    } finally {
      journal.release();
    }
  } finally {
    driver.close();
  }
}

interface Claimed {
  readonly claimed: ClaimedDevice;
  readonly driver: NbdDriver;
  readonly client: Client;
  readonly journal: DeviceJournal;
  readonly options: Options;
}

async function serveClaimed(parts: Claimed): Promise<void> {
  const { claimed, driver, client, journal, options } = parts;
  const { left } = claimed;
  const { address, log } = client;
  const { exportName } = client.session;
  if (left !== undefined) {
    log.info({ since: left.since }, `taking over ${devicePath(left.index)}, whose client is gone`);
  }
  const identity = new SessionIdentity({ journal, resume: left?.session });
  let served: ServedDevice | undefined;
  const onResized = (sizeBytes: number) => void served?.resize(sizeBytes);
  const readOnly = client.session.readOnly || isReadOnly(left);
  const session = { ...client.session, readOnly, onResized };
  const wait = left !== undefined || (options.wait ?? false);
  const device = await connectClient({ ...client, session }, { wait, identity, toServe: claimed });
  if (device === undefined) return;
  await guardMemory(log);
  // From here on a signal detaches the device, and must not leave it to nobody.
  void stopRequested();
  const claimOther = (taken: number) =>
    claimFree(address, kernelView(driver), log, new Set([taken]));
  served = await attachDevice({
    ...{ claimed, driver, device, identity, journal, address, exportName, options, log },
    claimOther: options.device === 'auto' ? claimOther : undefined,
  });
  // It may have another size since the kernel was told.
  void served.resize(device.geometry.sizeBytes);
  await serve(served, client, device, { fresh: left === undefined, tune: options.tune });
}

interface Preparations {
  /** The kernel has just got the device. */
  readonly fresh: boolean;
  readonly tune: boolean;
}

async function serve(
  served: ServedDevice,
  client: Client,
  device: RemoteDevice,
  preparations: Preparations,
): Promise<void> {
  const { attachment } = served;
  const { log } = client;
  const control = await startControl({
    index: attachment.index,
    status: () => deviceStatus(served, client, device),
    disconnect: async (force) => {
      await served.detach(force);
      await served.end();
      if (served.refused !== undefined) throw served.refused;
    },
    chooseLanes: (count) => device.session.chooseLanes(parseLanes('lanes', count)),
    log,
  });
  try {
    const stopped = obeySignals(served, log);
    await announceOrDetach(served, device, preparations, log);
    await Promise.race([stopped, attachment.detached]);
    await tellService('STOPPING=1', log);
    await served.end();
    if (served.refused !== undefined) throw served.refused;
    log.info('ended: everything that was written is on the export');
  } finally {
    await control.close();
  }
}

/** Detaches the device at a signal; where that is refused it is served on until the next. */
async function obeySignals(served: ServedDevice, log: Log): Promise<void> {
  for (let signal = await stopRequested(); ; signal = await stopRefused()) {
    log.info(`${signal}: detaching ${served.path}; another signal ends this process at once`);
    try {
      await served.detach(false);
      return;
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      log.warn({ code: error.code }, `it is served on: ${error.message}`);
    }
  }
}

async function announceOrDetach(
  served: ServedDevice,
  device: RemoteDevice,
  preparations: Preparations,
  log: Log,
): Promise<void> {
  try {
    // What it does waits while the export is away, and may never end where it is detached then.
    const announced = announce(served, device, preparations, log);
    await Promise.race([announced, served.attachment.detached]);
  } catch (error) {
    if (preparations.fresh) {
      await served.detach(true);
      await served.end();
    }
    throw error;
  }
}

async function announce(
  served: ServedDevice,
  device: RemoteDevice,
  { fresh, tune }: Preparations,
  log: Log,
): Promise<void> {
  // Of a device that is taken over, programs wait for this client's answers, and the settings are
  // those that it was attached with.
  if (fresh) {
    await settleQueue(served, device, tune, log);
    await scanPartitions(served.attachment.index);
  }
  printLine(`ready ${served.path}`);
  await tellService('READY=1', log);
  if (!fresh) await settleQueue(served, device, tune, log);
}

async function settleQueue(
  { attachment, path }: ServedDevice,
  { capabilities: { rotational } }: RemoteDevice,
  tune: boolean,
  log: Log,
): Promise<void> {
  const failures = await applyQueueSettings(attachment.index, { rotational, tune });
  if (failures.length > 0) log.info({ failures }, `${path}: not all queue settings are set`);
}

function deviceStatus(served: ServedDevice, client: Client, device: RemoteDevice) {
  return clientStatus(client, device, {
    device: served.path,
    refused: served.refused !== undefined,
    since: served.since,
    ...served.attachment.stats,
  });
}

/** Whether the kernel was told that the device may only be read. */
function isReadOnly(left: ClaimedDevice['left']): boolean {
  return left !== undefined && (left.transmissionFlags & NBD_FLAG_READ_ONLY) !== 0;
}
