import type { BlockDevice } from '../../block/device.js';
import { overlap } from '../../block/overlap.js';
import { joinPayload, type Payload } from '../../block/payload.js';
import { runCommand } from '../commands.js';
import { NBD_CMD_TRIM, NBD_CMD_WRITE, NBD_CMD_WRITE_ZEROES } from '../constants.js';
import type { Request } from '../request.js';

/** A write, trim or write zeroes that has not ended. */
interface Change {
  readonly of: LinkChanges;
  readonly request: Request;
  /** What a write writes. */
  readonly payload: Payload;
  /** A later one that overlaps it has ended before it. */
  overtaken: boolean;
}

/**
 * The changes of a device's connections with the kernel that have not ended, those among them
 * that connections which are gone have left behind, and what joins those.
 *
 * When the kernel gives a connection up it sends its commands anew on another one, while the
 * first copies are still on their way to the export. A change that is the same as one left
 * behind joins it: it does not go to the device, and ends when that one does, in the same way.
 * Else all that is in flight would be moved once more for each 30 s of an outage, and on a slow
 * line each copy would wait for those before it until the kernel gives it up as well.
 *
 * Why the older may stand for the newer: the device makes changes that overlap in the order in
 * which they come, and one that has not ended has not been acked to anybody. So whatever
 * overlaps it and was acked before the newer came is either older, and the device makes it
 * first, or has overtaken it, as it can where the device takes a large change in parts. What was
 * overtaken stands for nothing any more: the newer may be another command, that is to undo what
 * overtook the first.
 *
 * Reads and flushes never join: a read must see, and a flush cover, what was acked before it,
 * which may be more than the first did.
 */
export class LeftBehind {
  /** In the order in which they began, with their ends. */
  readonly #unfinished = new Map<Change, Promise<void>>();
  readonly #left = new Set<Change>();

  /** The end of a change left behind that is the same as this one. */
  endOfSame(request: Request, payload: Payload): Promise<void> | undefined {
    for (const change of this.#left) {
      if (!change.overtaken && isSame(change, request, payload))
        return this.#unfinished.get(change);
    }
    return undefined;
  }

  start(of: LinkChanges, device: BlockDevice, request: Request, payload: Payload): Promise<void> {
    const change: Change = { of, request, payload, overtaken: false };
    const end = runCommand(device, request, payload).then(
      () => this.#ended(change),
      (error: unknown) => {
        this.#ended(change);
        throw error;
      },
    );
    this.#unfinished.set(change, end);
    return end;
  }

  /** The connection is gone. */
  take(of: LinkChanges): void {
    for (const change of this.#unfinished.keys()) if (change.of === of) this.#left.add(change);
  }

  #ended(change: Change): void {
    // Mostly it is the oldest that ends, so that this looks at few.
    for (const older of this.#unfinished.keys()) {
      if (older === change) break;
      if (overlap(older.request, change.request)) older.overtaken = true;
    }
    this.#unfinished.delete(change);
    this.#left.delete(change);
  }
}

/** The changes of one connection. */
export class LinkChanges {
  readonly #leftBehind: LeftBehind;
  /** Ends early what has joined a change of a connection that is gone. */
  readonly #joined = new Set<() => void>();

  constructor(leftBehind: LeftBehind) {
    this.#leftBehind = leftBehind;
  }

  /** As `runCommand`. */
  readonly run: typeof runCommand = (device, request, payload) => {
    if (!isChange(request)) return runCommand(device, request, payload);
    const end = this.#leftBehind.endOfSame(request, payload);
    return end === undefined
      ? this.#leftBehind.start(this, device, request, payload)
      : this.#join(end);
  };

  /**
   * The connection is gone. What it began goes on; what had only joined ends at once, with
   * nobody to tell, so that however often a command comes it is left behind once.
   */
  leave(): void {
    this.#leftBehind.take(this);
    for (const end of this.#joined) end();
  }

  #join(end: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#joined.add(resolve);
      void end.then(resolve, reject).then(() => this.#joined.delete(resolve));
    });
  }
}

function isChange({ command }: Request): boolean {
  return command === NBD_CMD_WRITE || command === NBD_CMD_TRIM || command === NBD_CMD_WRITE_ZEROES;
}

function isSame(change: Change, request: Request, payload: Payload): boolean {
  const { offset, lengthBytes, command, flags } = change.request;
  return (
    offset === request.offset &&
    lengthBytes === request.lengthBytes &&
    command === request.command &&
    flags === request.flags &&
    joinPayload(change.payload).equals(joinPayload(payload))
  );
}
