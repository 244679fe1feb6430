import { failedWith } from '../../block/system-error.js';
import { invariant } from '../../errors.js';
import {
  type Attribute,
  decodeAttributes,
  findAttribute,
  nestedAttribute,
  numberOf,
  textAttribute,
  u32Attribute,
} from './netlink.js';
import type { NetlinkRequests, Reply } from './netlink-socket.js';

/** The controller of generic netlink (include/uapi/linux/genetlink.h). */
const GENL_ID_CTRL = 0x10;
const CTRL_VERSION = 2;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CTRL_ATTR_MAXATTR = 5;

/** The family of the NBD driver (include/uapi/linux/nbd-netlink.h). */
const NBD_GENL_FAMILY_NAME = 'nbd';
export const NBD_GENL_VERSION = 1;
export const NBD_CMD_CONNECT = 1;
export const NBD_CMD_DISCONNECT = 2;
export const NBD_CMD_RECONFIGURE = 3;
export const NBD_CMD_STATUS = 5;
export const NBD_ATTR_INDEX = 1;
export const NBD_ATTR_SIZE_BYTES = 2;
export const NBD_ATTR_BLOCK_SIZE_BYTES = 3;
export const NBD_ATTR_SERVER_FLAGS = 5;
const NBD_ATTR_SOCKETS = 7;
export const NBD_ATTR_DEAD_CONN_TIMEOUT = 8;
/** The last that we cannot do without; Linux 4.12 has it. */
export const NBD_ATTR_DEVICE_LIST = 9;
/** Linux 5.14 and later. */
export const NBD_ATTR_BACKEND_IDENTIFIER = 10;
const NBD_SOCK_ITEM = 1;
const NBD_SOCK_FD = 1;
const NBD_DEVICE_INDEX = 1;
const NBD_DEVICE_CONNECTED = 2;

export interface NbdFamily {
  /** What requests to it carry. */
  readonly number: number;
  /** The newest attribute that it knows. */
  readonly attributeMax: number;
}

export interface DeviceStatus {
  readonly index: number;
  /** Attached, or opened by somebody: the kernel doesn't tell which. */
  readonly taken: boolean;
}

/** Asks the controller for the driver's family; undefined where nobody has registered it. */
export async function findFamily(netlink: NetlinkRequests): Promise<NbdFamily | undefined> {
  const replies = await netlink
    .request({
      family: GENL_ID_CTRL,
      command: CTRL_CMD_GETFAMILY,
      version: CTRL_VERSION,
      attributes: [textAttribute(CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME)],
    })
    .catch((error) => {
      if (failedWith(error, 'ENOENT')) return undefined;
      throw error;
    });
  if (replies === undefined) return undefined;
  const attributes = replies[0]?.attributes ?? [];
  return {
    number: numberIn(attributes, CTRL_ATTR_FAMILY_ID),
    attributeMax: numberIn(attributes, CTRL_ATTR_MAXATTR),
  };
}

/** Sockets, by their file descriptors in this process. */
export function socketsAttribute(sockets: readonly number[]): Attribute {
  const items = sockets.map((fd) =>
    nestedAttribute(NBD_SOCK_ITEM, [u32Attribute(NBD_SOCK_FD, fd)]),
  );
  return nestedAttribute(NBD_ATTR_SOCKETS, items);
}

/** The index in the answer to a CONNECT. */
export function indexIn(replies: readonly Reply[]): number {
  return numberIn(replies[0]?.attributes ?? [], NBD_ATTR_INDEX);
}

/** The devices in the answer to a STATUS, in order of their indexes. */
export function devicesIn(replies: readonly Reply[]): DeviceStatus[] {
  const list = findAttribute(replies[0]?.attributes ?? [], NBD_ATTR_DEVICE_LIST);
  if (list === undefined) return [];
  return decodeAttributes(list.value)
    .map((item) => statusOf(decodeAttributes(item.value)))
    .sort((a, b) => a.index - b.index);
}

function statusOf(attributes: readonly Attribute[]): DeviceStatus {
  return {
    index: numberIn(attributes, NBD_DEVICE_INDEX),
    taken: numberIn(attributes, NBD_DEVICE_CONNECTED) !== 0,
  };
}

function numberIn(attributes: readonly Attribute[], type: number): number {
  const attribute = findAttribute(attributes, type);
  invariant(attribute !== undefined, `the kernel answers with the attribute ${type}`);
  return numberOf(attribute);
}
