import { stat } from 'node:fs/promises';
import { failedWith } from '../../block/system-error.js';
import { DstError, invariant } from '../../errors.js';
import { KERNEL_DEVICE_INDEX_MAX } from '../../limits.js';
import { NBD_FLAG_CAN_MULTI_CONN } from '../constants.js';
import { devicePath } from './device-name.js';
import { backendOf, isAttached } from './device-usage.js';
import { deviceInUse, noDriver, notAttached, notRoot, refused, tooOld } from './driver-errors.js';
import { KERNEL_FOLDERS, type KernelFolders, readText } from './kernel-files.js';
import * as family from './nbd-family.js';
import { type Attribute, textAttribute, u32Attribute, u64Attribute } from './netlink.js';
import { type NetlinkRequests, NetlinkSocket, type Reply } from './netlink-socket.js';

/** The bit of CAP_SYS_ADMIN in the capabilities of a process (capabilities(7)). */
const CAP_SYS_ADMIN_BIT = 1n << 21n;

/** The kernel takes powers of two up to the size of its pages, of which the smallest are these. */
const BLOCK_BYTES_MIN = 512;
const BLOCK_BYTES_MAX = 4096;

export interface KernelDeviceSettings {
  /** A multiple of `blockBytes`. */
  readonly sizeBytes: number;
  /** 512, 1024, 2048 or 4096: the kernel sends nothing smaller. */
  readonly blockBytes: number;
  /** NBD_FLAG_*; CAN_MULTI_CONN among them where there is more than one socket. */
  readonly transmissionFlags: number;
  /** How long commands wait when all sockets are dead, in whole seconds, rounded up. */
  readonly deadConnectionTimeoutMs: number;
  /** Shown in /sys/block/nbdN/backend, where the kernel has that. */
  readonly backend: string;
}

export interface KernelDeviceChange {
  /** They replace sockets that are dead; those that are too many the kernel leaves alone. */
  readonly sockets?: readonly number[];
  /** A multiple of the block size that the device was attached with. */
  readonly sizeBytes?: number;
  /** As of `KernelDeviceSettings`. */
  readonly deadConnectionTimeoutMs?: number;
}

/**
 * The kernel's NBD driver, by the messages of its generic netlink family.
 *
 * What the kernel is asked to do it does on the thread pool: it may take as long as our own
 * answers to the block commands that it brings about.
 */
export class NbdDriver {
  readonly #netlink: NetlinkRequests;
  readonly #family: family.NbdFamily;
  readonly #folders: KernelFolders;

  private constructor(netlink: NetlinkRequests, found: family.NbdFamily, folders: KernelFolders) {
    this.#netlink = netlink;
    this.#family = found;
    this.#folders = folders;
  }

  /**
   * Finds the driver. Rejects with DST_E_NO_DRIVER where it is not loaded, DST_E_KERNEL_OLD
   * where it cannot do what we need, DST_E_NOT_ROOT where this process may not use it.
   */
  static async open(
    netlink?: NetlinkRequests,
    folders: KernelFolders = KERNEL_FOLDERS,
  ): Promise<NbdDriver> {
    const socket = netlink ?? (await openNetlink());
    try {
      const found = await family.findFamily(socket);
      // A driver without the family is one from before Linux 4.10.
      if (found === undefined) throw (await isDriverLoaded(folders)) ? tooOld() : noDriver();
      if (found.attributeMax < family.NBD_ATTR_DEVICE_LIST) throw tooOld();
      if (!(await mayAttach(folders))) throw notRoot();
      return new NbdDriver(socket, found, folders);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /**
   * Attaches a device to sockets, which are in the transmission phase of NBD already, and
   * resolves to its index. The kernel makes a device that is not there; 'auto' takes the first
   * that is free, or makes one more.
   *
   * Rejects with DST_E_DEVICE_IN_USE, telling by whom; DST_E_BLOCK_SIZE for blocks that the
   * kernel cannot have; DST_E_ATTACH where it refuses for a reason of its own.
   */
  async connect(
    index: number | 'auto',
    sockets: readonly number[],
    settings: KernelDeviceSettings,
  ): Promise<number> {
    checkBlockBytes(settings.blockBytes);
    const flags = settings.transmissionFlags;
    invariant(sockets.length > 0, 'a device has a socket');
    invariant(
      sockets.length === 1 || (flags & NBD_FLAG_CAN_MULTI_CONN) !== 0,
      'the kernel takes several sockets only with CAN_MULTI_CONN',
    );
    const attributes = [
      u64Attribute(family.NBD_ATTR_SIZE_BYTES, settings.sizeBytes),
      u64Attribute(family.NBD_ATTR_BLOCK_SIZE_BYTES, settings.blockBytes),
      u64Attribute(family.NBD_ATTR_SERVER_FLAGS, flags),
      deadConnectionTimeout(settings.deadConnectionTimeoutMs),
      family.socketsAttribute(sockets),
    ];
    if (index !== 'auto') attributes.unshift(u32Attribute(family.NBD_ATTR_INDEX, index));
    if (this.#family.attributeMax >= family.NBD_ATTR_BACKEND_IDENTIFIER) {
      attributes.push(textAttribute(family.NBD_ATTR_BACKEND_IDENTIFIER, settings.backend));
    }
    try {
      return family.indexIn(await this.#ask(family.NBD_CMD_CONNECT, attributes));
    } catch (error) {
      if (index === 'auto') throw refused('a free NBD device', error);
      if (failedWith(error, 'EBUSY')) throw await deviceInUse(index, this.#folders, error);
      throw refused(devicePath(index), error);
    }
  }

  /**
   * Gives an attached device sockets for those of its own that are dead, another size, or
   * another time to wait for sockets.
   *
   * Rejects with DST_E_NOT_ATTACHED where the device is not attached (any more), DST_E_ATTACH
   * where the kernel refuses for a reason of its own.
   */
  async reconfigure(index: number, change: KernelDeviceChange): Promise<void> {
    const attributes = [u32Attribute(family.NBD_ATTR_INDEX, index)];
    if (change.sizeBytes !== undefined) {
      attributes.push(u64Attribute(family.NBD_ATTR_SIZE_BYTES, change.sizeBytes));
    }
    if (change.deadConnectionTimeoutMs !== undefined) {
      attributes.push(deadConnectionTimeout(change.deadConnectionTimeoutMs));
    }
    if (change.sockets !== undefined) attributes.push(family.socketsAttribute(change.sockets));
    // A device that was attached with an identifier obeys only who knows it.
    const backend = await backendOf(index, this.#folders);
    if (backend !== undefined) {
      attributes.push(textAttribute(family.NBD_ATTR_BACKEND_IDENTIFIER, backend));
    }
    try {
      await this.#ask(family.NBD_CMD_RECONFIGURE, attributes);
    } catch (error) {
      // Nothing else is wrong with what we say, so the device is; or it is on its way out.
      throw failedWith(error, 'EINVAL')
        ? notAttached(index, error)
        : refused(devicePath(index), error);
    }
  }

  /**
   * Detaches a device: its commands in flight fail, its sockets get NBD_CMD_DISC. Does nothing
   * to a device that is not attached. While somebody has it open, it is taken yet.
   */
  async disconnect(index: number): Promise<void> {
    if (!(await this.#devices()).some((device) => device.index === index)) return;
    try {
      await this.#ask(family.NBD_CMD_DISCONNECT, [u32Attribute(family.NBD_ATTR_INDEX, index)]);
    } catch (error) {
      throw refused(devicePath(index), error);
    }
  }

  /** The indexes of the devices that are attached, in order. */
  async connected(): Promise<number[]> {
    const attached: number[] = [];
    for (const { index, taken } of await this.#devices()) {
      if (taken && (await isAttached(index, this.#folders))) attached.push(index);
    }
    return attached;
  }

  /** The first device but `except` that is neither attached nor open; it may be yet to be made. */
  async firstFree(except: ReadonlySet<number> = new Set()): Promise<number> {
    const devices = await this.#devices();
    const free = devices.find(({ index, taken }) => !taken && !except.has(index))?.index;
    if (free !== undefined) return free;
    const known = new Set(devices.map((device) => device.index));
    for (let index = 0; index <= KERNEL_DEVICE_INDEX_MAX; index++) {
      if (!known.has(index) && !except.has(index)) return index;
    }
    throw new DstError('DST_E_DEVICE_IN_USE', 'all NBD devices are in use: disconnect one');
  }

  /** Ends the conversation, not the devices. */
  close(): void {
    this.#netlink.close();
  }

  #ask(command: number, attributes: readonly Attribute[]): Promise<readonly Reply[]> {
    return this.#netlink.request({
      family: this.#family.number,
      command,
      version: family.NBD_GENL_VERSION,
      attributes,
    });
  }

  async #devices(): Promise<family.DeviceStatus[]> {
    return family.devicesIn(await this.#ask(family.NBD_CMD_STATUS, []));
  }
}

async function openNetlink(): Promise<NetlinkRequests> {
  try {
    return await NetlinkSocket.open();
  } catch (error) {
    throw noDriver(error);
  }
}

async function isDriverLoaded(folders: KernelFolders): Promise<boolean> {
  return stat(`${folders.sys}/module/nbd`).then(
    () => true,
    () => false,
  );
}

/** In a user namespace of its own a process may have the capability and yet be refused later. */
async function mayAttach(folders: KernelFolders): Promise<boolean> {
  const status = await readText(`${folders.proc}/self/status`);
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status ?? '')?.[1];
  // Where it can't be told, the kernel will.
  return effective === undefined || (BigInt(`0x${effective}`) & CAP_SYS_ADMIN_BIT) !== 0n;
}

/** The kernel counts in seconds. */
function deadConnectionTimeout(timeoutMs: number): Attribute {
  return u64Attribute(family.NBD_ATTR_DEAD_CONN_TIMEOUT, Math.ceil(timeoutMs / 1000));
}

function checkBlockBytes(blockBytes: number): void {
  const powerOfTwo = Number.isInteger(Math.log2(blockBytes));
  if (powerOfTwo && blockBytes >= BLOCK_BYTES_MIN && blockBytes <= BLOCK_BYTES_MAX) return;
  throw new DstError(
    'DST_E_BLOCK_SIZE',
    `blocks of ${blockBytes} bytes are not for the kernel, which takes ${BLOCK_BYTES_MIN} to ${BLOCK_BYTES_MAX}: export with smaller ones, or use --socket`,
  );
}
