import { basename } from 'node:path';
import { NBD_FLAG_READ_ONLY } from '../nbd/constants.js';
import { devicePath } from '../nbd/kernel/device-name.js';
import { findClients } from './control-client.js';
import type { ClientStatus } from './control-messages.js';
import { type AttachedDevice, attachedDevices, type DeviceRecord } from './device-record.js';
import { waitsInKernel } from './orphan.js';

/** A kernel device whose client does not say how it does. */
export interface UnservedStatus {
  /** The client, where there is one. */
  readonly pid?: number | undefined;
  readonly device: string;
  readonly export: string;
  readonly address: string;
  /**
   * "orphaned": its client is gone, and its I/O waits for another one. "starting": a client has
   * it, and does not serve it yet. "silent": its client does not answer.
   */
  readonly state: 'orphaned' | 'starting' | 'silent';
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly since: string;
}

/** One thing that is attached, and how to reach it. */
export interface Attached {
  readonly status: ClientStatus | UnservedStatus;
  /** The control socket of a client that answers. */
  readonly socketPath?: string;
  /** What is known of an orphan. */
  readonly orphan?: DeviceRecord;
}

export interface AllAttached {
  /** Devices first, in their order. */
  readonly attached: readonly Attached[];
  /** Processes without a device that do not answer. */
  readonly silentProcessIds: readonly number[];
}

/**
 * All that is attached by clients of this user, dead ones included where their device still waits
 * in the kernel. Changes nothing.
 */
export async function listAttached(isOrphan = waitsInKernel): Promise<AllAttached> {
  // Records first: a client that goes on meanwhile from one of them is found as well.
  const devices = await attachedDevices();
  const { clients, silent } = await findClients();
  const attached: Attached[] = [...clients];
  const answering = new Set(clients.map(({ status }) => status.device));
  const silentNames = silent.map((path) => basename(path, '.sock'));
  for (const device of devices) {
    if (answering.has(devicePath(device.record.index))) continue;
    if (device.served) attached.push({ status: servedStatus(device, silentNames) });
    else if (await isOrphan(device.record)) attached.push(orphan(device.record));
  }
  attached.sort(byPlace);
  const silentProcessIds = silentNames.filter((name) => /^\d+$/.test(name)).map(Number);
  return { attached, silentProcessIds };
}

function orphan(record: DeviceRecord): Attached {
  return { status: { ...factsOf(record), state: 'orphaned' }, orphan: record };
}

function servedStatus(
  { record, processId }: AttachedDevice,
  silentNames: readonly string[],
): UnservedStatus {
  const facts = factsOf(record);
  const silent = silentNames.includes(basename(facts.device));
  return { pid: processId, ...facts, state: silent ? 'silent' : 'starting' };
}

function factsOf(record: DeviceRecord): Omit<UnservedStatus, 'state'> {
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
