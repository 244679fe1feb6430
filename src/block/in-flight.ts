import { DstError } from '../errors.js';

/** Counts a device's commands in flight, so that it can be closed after the last of them. */
export class InFlight {
  readonly #description: string;
  #count = 0;
  #closing = false;
  #idle: (() => void) | undefined;

  constructor(description: string) {
    this.#description = description;
  }

  /** Call before a command; each needs its `end()`. Throws once the device closes. */
  begin(): void {
    if (this.#closing) {
      throw new DstError('DST_E_CLOSED', `${this.#description} is closed: open it again`, {
        errno: 'ESHUTDOWN',
      });
    }
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#idle?.();
  }

  /** Refuses new commands, and resolves when those in flight have ended. Call it once. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#count === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }
}
