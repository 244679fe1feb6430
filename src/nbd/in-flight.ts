import { invariant } from '../errors.js';

/**
 * Counts what is in flight against a bound, and wakes those who were refused.
 *
 * Every `enter` is followed by exactly one `leave` with the same number of bytes.
 */
export class InFlight {
  readonly #commandsMax: number;
  readonly #bytesMax: number;
  readonly #waiting = new Set<() => void>();
  #commands = 0;
  #bytes = 0;
  #entered = 0;

  constructor(commandsMax: number, bytesMax: number) {
    this.#commandsMax = commandsMax;
    this.#bytesMax = bytesMax;
  }

  get commands(): number {
    return this.#commands;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Commands that ever entered. */
  get entered(): number {
    return this.#entered;
  }

  /** A command always has room where it is alone, however large: it would wait for ever. */
  hasRoom(bytes: number, commands = 1): boolean {
    if (this.#commands === 0) return true;
    const fits = this.#commands + commands <= this.#commandsMax;
    return fits && this.#bytes + bytes <= this.#bytesMax;
  }

  enter(bytes: number): void {
    this.#commands += 1;
    this.#bytes += bytes;
    this.#entered += 1;
  }

  /** Calls all who wait, in the order in which they came; who still has no room waits again. */
  leave(bytes: number): void {
    this.#leave(bytes, 1);
  }

  /**
   * Has so much of what is in flight counted by another one from now on, where that has room
   * for all of it. Returns whether it had.
   */
  handOver(to: InFlight, bytes: number, commands: number): boolean {
    if (!to.hasRoom(bytes, commands)) return false;
    to.#commands += commands;
    to.#bytes += bytes;
    this.#leave(bytes, commands);
    return true;
  }

  /** Calls `wake` once, at the next `leave`. */
  wait(wake: () => void): void {
    this.#waiting.add(wake);
  }

  /** Undoes `wait`. */
  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }

  #leave(bytes: number, commands: number): void {
    this.#commands -= commands;
    this.#bytes -= bytes;
    invariant(this.#commands >= 0 && this.#bytes >= 0, 'what leaves has entered');
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}
