import type { SessionJournal, SessionRecord } from '../client/session-record.js';
import type { DeviceFile, DeviceRecord } from '../ops/device-record.js';

/** What of a device's record is not its session's. */
export type DevicePart = Omit<DeviceRecord, 'session'>;

/**
 * Keeps the record of a device, and its lock, as its session goes on. A session begins before there is a
 * device to tell of, which is when its record begins to matter: what it saves until then stays
 * in memory.
 */
export class DeviceJournal implements SessionJournal {
  #file: DeviceFile;
  #device: DevicePart | undefined;
  #session: SessionRecord | undefined;
  /** A save or a new size that comes late must not bring the record back. */
  #ended = false;

  /** `left` is the record of a device that is taken over. */
  constructor(file: DeviceFile, left?: DeviceRecord) {
    this.#file = file;
    this.#device = left;
    this.#session = left?.session;
  }

  save(session: SessionRecord): void {
    this.#session = session;
    this.#write();
  }

  /** To be called before the kernel has the device, and when it changes. */
  describe(device: DevicePart): void {
    this.#device = device;
    this.#write();
  }

  /** The kernel has no device of this session any more: there is nothing to continue. */
  end(): void {
    this.#ended = true;
    this.#file.remove();
  }

  /** Another device is to be the session's: the file of the first is let go. */
  moveTo(file: DeviceFile): void {
    this.end();
    this.release();
    this.#file = file;
    this.#device = undefined;
    this.#ended = false;
  }

  /** Lets others lock the device. */
  release(): void {
    this.#file.release();
  }

  #write(): void {
    if (this.#ended || this.#device === undefined || this.#session === undefined) return;
    this.#file.save({ ...this.#device, session: this.#session });
  }
}
