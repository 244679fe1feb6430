import { basename } from 'node:path';
import { NBD_FLAG_READ_ONLY } from '../nbd/constants.js';
import { devicePath } from '../nbd/kernel/device-name.js';
import { findClients } from './control-client.js';
import type { ClientStatus } from './control-messages.js';
import { type DeviceRecord, type KnownDevice, knownDevices } from './device-record.js';
import { leftInKernel, waitsInKernel } from './orphan.js';

/** A client that does not say how it does, or a device without one: as far as it is known. */
export interface UnservedStatus {
  /** The client, where there is one. */
  readonly pid?: number | undefined;
  readonly device?: string;
  readonly export?: string;
  readonly address?: string;
  /**
   * "orphaned": its client is gone, and its I/O waits for another one. "starting": a client has
   * it, and does not serve it yet. "silent": its client does not answer.
   */
  readonly state: 'orphaned' | 'starting' | 'silent';
  readonly sizeBytes?: number;
  readonly readOnly?: boolean;
  readonly since?: string;
}

/** One thing that is attached, and how to reach it. */
export interface Attached {
  readonly status: ClientStatus | UnservedStatus;
  /** The control socket of a client that answers. */
  readonly socketPath?: string;
  /** The device of a client that is gone. */
  readonly orphanIndex?: number;
}

/** What is asked of the kernel: a seam, so that tests need none. */
export interface KernelOrphans {
  readonly waitsInKernel: (record: DeviceRecord) => Promise<boolean>;
  readonly leftInKernel: () => Promise<readonly number[]>;
}

/**
 * All that is attached by clients of this user, dead ones included where their device still waits
 * in the kernel; devices first, in their order. Changes nothing.
 */
export async function listAttached(
  kernel: KernelOrphans = { waitsInKernel, leftInKernel },
): Promise<Attached[]> {
  // Devices first: a client that goes on meanwhile with one of them is found as well.
  const devices = await knownDevices();
  const { clients, silent } = await findClients();
  const silentNames = silent.map((path) => basename(path, '.sock'));
  const attached: Attached[] = [...clients];
  for (const device of devices) {
    if (device.served) attached.push({ status: servedStatus(device, silentNames) });
    else if (device.record !== undefined && (await kernel.waitsInKernel(device.record)))
      attached.push(orphan(device.index, device.record));
  }
  attached.push(...silentNames.map(silentClient));
  for (const index of await kernel.leftInKernel()) attached.push(orphan(index));
  return oncePerDevice(attached).sort(byPlace);
}

/** Of what several tell of a device, the first counts: whoever knows more is asked earlier. */
function oncePerDevice(attached: readonly Attached[]): Attached[] {
  const devices = new Set<string>();
  return attached.filter(({ status: { device } }) => {
    if (device === undefined) return true;
    const isFirst = !devices.has(device);
    devices.add(device);
    return isFirst;
  });
}

function orphan(index: number, record?: DeviceRecord): Attached {
  const facts = record === undefined ? { device: devicePath(index) } : factsOf(record);
  return { status: { ...facts, state: 'orphaned' }, orphanIndex: index };
}

function servedStatus(
  { index, record, processId }: KnownDevice,
  silentNames: readonly string[],
): UnservedStatus {
  const device = devicePath(index);
  const facts = record === undefined ? { device } : factsOf(record);
  const state = silentNames.includes(basename(device)) ? 'silent' : 'starting';
  return { pid: processId, ...facts, state };
}

/** Of a control socket's name: a device, or the process that serves none. */
function silentClient(name: string): Attached {
  const who = /^\d+$/.test(name) ? { pid: Number(name) } : { device: `/dev/${name}` };
  return { status: { ...who, state: 'silent' } };
}

function factsOf(record: DeviceRecord) {
  return {
    device: devicePath(record.index),
    export: record.exportName,
    address: record.address,
    sizeBytes: record.sizeBytes,
    readOnly: (record.transmissionFlags & NBD_FLAG_READ_ONLY) !== 0,
    since: record.since,
  };
}

function byPlace(a: Attached, b: Attached): number {
  return placeOf(a).localeCompare(placeOf(b), 'en', { numeric: true });
}

/** Where it is attached: "/dev/nbd0", or a URI. */
export function placeOf({ status }: Attached): string {
  return status.device ?? ('uri' in status ? status.uri : undefined) ?? `process ${status.pid}`;
}
