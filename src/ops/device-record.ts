/**
 * What is known of a kernel device beyond the life of the client that serves it: a small file,
 * from which the next client takes over, beside a lock that says whether one is there.
 *
 * The file is replaced as a whole: a client that is killed at any moment leaves the old content
 * or the new one. It is not synced, as it counts for nothing once the machine has restarted.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { failedWith } from '../block/system-error.js';
import type { SessionRecord } from '../client/session-record.js';
import { DstError, reasonOf } from '../errors.js';
import {
  DEVICE_ADDRESS_BYTES_MAX,
  DEVICE_BYTES_MAX,
  DEVICE_LOCK_PATIENCE_MS,
  EXPORT_NAME_BYTES_MAX,
  KERNEL_DEVICE_INDEX_MAX,
} from '../limits.js';
import { type Log, silentLog } from '../log.js';
import { deviceName, devicePath } from '../nbd/kernel/device-name.js';
import { Fields } from '../protocol/fields.js';
import { SESSION_BYTES, VERIFIER_BYTES } from '../protocol/messages.js';
import { DeviceLock } from './device-lock.js';
import { devicesFolder, makeRuntimeFolder } from './runtime-folder.js';

/** Who knows a session's id can come as that session. */
const FILE_MODE = 0o600;

const VERSION = 1;

export interface DeviceRecord {
  readonly version: 1;
  /** Of the machine's run in which it was written (random(4), boot_id). */
  readonly bootId: string;
  readonly index: number;
  /** As it was given to the client that attached the device. */
  readonly address: string;
  readonly exportName: string;
  readonly connections: number;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly transmissionFlags: number;
  /** When the device was attached (ISO 8601). */
  readonly since: string;
  readonly session: SessionRecord;
}

/** The record and the lock of one device; held by whoever attaches, serves or detaches it. */
export class DeviceFile {
  readonly #path: string;
  readonly #lock: DeviceLock;
  readonly #log: Log;
  #failed = false;

  private constructor(index: number, lock: DeviceLock, log: Log) {
    this.#path = recordPath(index);
    this.#lock = lock;
    this.#log = log;
  }

  /**
   * Throws DST_E_DEVICE_IN_USE where another process has the lock for longer than `patienceMs`,
   * DST_E_RUNTIME_FOLDER where there can be none.
   */
  static async lock(
    index: number,
    options: { readonly log?: Log; readonly patienceMs?: number } = {},
  ): Promise<DeviceFile> {
    const { log = silentLog, patienceMs = DEVICE_LOCK_PATIENCE_MS } = options;
    makeRuntimeFolder(devicesFolder());
    const taken = await DeviceLock.take(lockPath(index), patienceMs);
    if (taken instanceof DeviceLock) return new DeviceFile(index, taken, log);
    const who = await describeProcess(taken.processId);
    throw new DstError(
      'DST_E_DEVICE_IN_USE',
      `${devicePath(index)} is served by ${who}: end it with "dst-quic disconnect ${devicePath(index)}", or take another device`,
    );
  }

  /** What the last client left; one that is damaged or from before a restart is none, with a warning. */
  load(): DeviceRecord | undefined {
    try {
      return readRecord(this.#path);
    } catch (error) {
      if (failedWith(error, 'ENOENT')) return undefined;
      this.#log.warn(
        { path: this.#path, reason: reasonOf(error) },
        'what an earlier client left about this device is of no use, and is passed over',
      );
      return undefined;
    }
  }

  /**
   * Keeps a record in place of the last one; it outlives this process when this returns. One that
   * cannot be kept takes the last one with it, with a warning: to take over from a record that is
   * out of date could lose data. Throws DST_E_DEVICE_RECORD where not even that can be done.
   */
  save(record: DeviceRecord): void {
    const temporary = `${this.#path}.new`;
    try {
      writeFileSync(temporary, encode(record), { mode: FILE_MODE });
      renameSync(temporary, this.#path);
      this.#failed = false;
    } catch (error) {
      this.#forget(temporary);
      this.#warnOfSave(error);
    }
  }

  /** The device is detached: nothing of it is left to take over. */
  remove(): void {
    rmSync(this.#path, { force: true });
  }

  /** Lets others lock it. What was saved stays. */
  release(): void {
    this.#lock.release();
  }

  #forget(temporary: string): void {
    try {
      rmSync(this.#path, { force: true });
      rmSync(temporary, { force: true });
    } catch (cause) {
      throw new DstError(
        'DST_E_DEVICE_RECORD',
        `${this.#path} can be neither written nor removed (${reasonOf(cause)}): see that it can, as nobody may take over from it as it is`,
        { errno: 'EIO', cause },
      );
    }
  }

  #warnOfSave(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#log.warn(
      { path: this.#path, reason: reasonOf(error) },
      'the record of this device cannot be written, so that no other client could take over from this one: make room there',
    );
  }
}

/** A device that a client has locked, or has left a record of. */
export interface KnownDevice {
  readonly index: number;
  /** None yet where its client is still connecting; none of use where it is damaged. */
  readonly record: DeviceRecord | undefined;
  /** Whether a client has it: else it waits for one. */
  readonly served: boolean;
  /** That client, where it is known. */
  readonly processId: number | undefined;
}

/**
 * The devices of this user that have a client or a record, by their index. Without a client they
 * may be waiting for one in the kernel, or be detached: ask the kernel. Nothing is changed.
 */
export async function knownDevices(): Promise<KnownDevice[]> {
  const found: KnownDevice[] = [];
  for (const index of notedIndexes()) {
    const holder = await DeviceLock.holder(lockPath(index));
    const record = recordOrNone(index);
    const served = holder !== undefined;
    if (!served && record === undefined) continue;
    found.push({ index, record, served, processId: holder?.processId });
  }
  return found;
}

function notedIndexes(): number[] {
  let names: string[];
  try {
    names = readdirSync(devicesFolder());
  } catch {
    return [];
  }
  const indexes = names
    .map((name) => Number(/^nbd(\d+)\.(?:json|lock)$/.exec(name)?.[1] ?? Number.NaN))
    .filter((index) => index <= KERNEL_DEVICE_INDEX_MAX);
  return [...new Set(indexes)].sort((a, b) => a - b);
}

function recordOrNone(index: number): DeviceRecord | undefined {
  try {
    return readRecord(recordPath(index));
  } catch {
    return undefined;
  }
}

function recordPath(index: number): string {
  return join(devicesFolder(), `${deviceName(index)}.json`);
}

function lockPath(index: number): string {
  return join(devicesFolder(), `${deviceName(index)}.lock`);
}

function encode(record: DeviceRecord): string {
  const { id, epoch, transaction, verifier, unflushed } = record.session;
  const session = {
    id: id.toString('hex'),
    epoch,
    transaction,
    verifier: verifier?.toString('hex') ?? null,
    unflushed,
  };
  return `${JSON.stringify({ ...record, session })}\n`;
}

/** Throws where there is none for this run of the machine. */
function readRecord(path: string): DeviceRecord {
  const fields = new Fields('device record', JSON.parse(readFileSync(path, 'utf8')));
  const record = decode(fields);
  if (path !== recordPath(record.index)) throw new Error('it is of another device');
  if (record.bootId !== currentBootId()) throw new Error('it is from before a restart');
  return record;
}

function decode(fields: Fields): DeviceRecord {
  if (fields.integer('version', Number.MAX_SAFE_INTEGER) !== VERSION) {
    throw new Error('it is of another version of dst-quic');
  }
  return {
    version: VERSION,
    bootId: fields.text('bootId', DEVICE_ADDRESS_BYTES_MAX),
    index: fields.integer('index', KERNEL_DEVICE_INDEX_MAX),
    address: fields.text('address', DEVICE_ADDRESS_BYTES_MAX),
    exportName: fields.text('exportName', EXPORT_NAME_BYTES_MAX),
    connections: fields.positive('connections', Number.MAX_SAFE_INTEGER),
    sizeBytes: fields.integer('sizeBytes', DEVICE_BYTES_MAX),
    blockBytes: fields.powerOfTwo('blockBytes', DEVICE_BYTES_MAX),
    transmissionFlags: fields.integer('transmissionFlags', Number.MAX_SAFE_INTEGER),
    since: fields.text('since', DEVICE_ADDRESS_BYTES_MAX),
    session: decodeSession(fields.map('session')),
  };
}

function decodeSession(fields: Fields): SessionRecord {
  return {
    id: hexBytes(fields, 'id', SESSION_BYTES),
    epoch: fields.integer('epoch', Number.MAX_SAFE_INTEGER),
    transaction: fields.integer('transaction', Number.MAX_SAFE_INTEGER),
    verifier: fields.has('verifier') ? hexBytes(fields, 'verifier', VERIFIER_BYTES) : undefined,
    unflushed: fields.flag('unflushed'),
  };
}

function hexBytes(fields: Fields, key: string, lengthBytes: number): Buffer {
  const bytes = Buffer.from(fields.text(key, 2 * lengthBytes), 'hex');
  if (bytes.length !== lengthBytes) throw new Error(`its ${key} is damaged`);
  return bytes;
}

let bootId: string | undefined;

/** What this run of the machine is called, in `DeviceRecord.bootId`. */
export function currentBootId(): string {
  bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return bootId;
}

/** "process 12 (node)". */
async function describeProcess(processId: number | undefined): Promise<string> {
  if (processId === undefined) return 'another process';
  try {
    const name = await readFile(`/proc/${processId}/comm`, 'utf8');
    return `process ${processId} (${name.trim()})`;
  } catch {
    return `process ${processId}`;
  }
}
