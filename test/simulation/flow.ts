import type { Clock } from '../../src/clock.js';
import type { Random } from './random.js';

/** How bytes travel; a fault may change any of it while they do. */
export interface Weather {
  latencyMs: number;
  jitterMs: number;
  /** Share of the pieces that are lost and sent again, which holds up their stream only. */
  lossRate: number;
  resendMs: number;
  /** Share of the writes that arrive in two pieces, cut at any byte. */
  splitRate: number;
  /** Share of the pieces behind which their stream stalls, for up to `stallMsMax`. */
  stallRate: number;
  stallMsMax: number;
  /** Nothing arrives before this time. */
  silentUntilMs: number;
}

interface Piece {
  readonly bytes: Buffer;
  readonly arrivesMs: number;
}

/** One direction of one stream: its bytes arrive in order, and late. */
export class Flow {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #weather: Weather;
  readonly #deliver: (bytes: Buffer) => void;
  #queue: Piece[] = [];
  #waiting = false;
  #lastArrivalMs = 0;
  #stalledUntilMs = 0;
  #shut = false;

  constructor(clock: Clock, random: Random, weather: Weather, deliver: (bytes: Buffer) => void) {
    this.#clock = clock;
    this.#random = random;
    this.#weather = weather;
    this.#deliver = deliver;
  }

  send(bytes: Buffer): void {
    if (this.#shut || bytes.length === 0) return;
    if (!this.#random.chance(this.#weather.splitRate)) {
      this.#enqueue(bytes);
      return;
    }
    const at = this.#random.below(bytes.length);
    if (at > 0) this.#enqueue(bytes.subarray(0, at));
    this.#enqueue(bytes.subarray(at));
  }

  /** Holds up what has not arrived. */
  stall(durationMs: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, this.#clock.nowMs() + durationMs);
  }

  /** Takes no more; what is on its way still arrives. */
  shut(): void {
    this.#shut = true;
  }

  /** Takes no more; what is on its way is lost from some byte on. */
  truncate(): void {
    this.shut();
    let leftBytes = this.#random.below(
      1 + this.#queue.reduce((sum, { bytes }) => sum + bytes.length, 0),
    );
    const kept: Piece[] = [];
    for (const { bytes, arrivesMs } of this.#queue) {
      if (leftBytes === 0) break;
      kept.push({ bytes: bytes.subarray(0, leftBytes), arrivesMs });
      leftBytes -= Math.min(leftBytes, bytes.length);
    }
    this.#queue = kept;
  }

  /** Takes no more, and all that is on its way is lost. */
  drop(): void {
    this.shut();
    this.#queue = [];
  }

  #enqueue(bytes: Buffer): void {
    const weather = this.#weather;
    const random = this.#random;
    let delayMs = weather.latencyMs + random.next() * weather.jitterMs;
    if (random.chance(weather.lossRate)) delayMs += weather.resendMs * (1 + random.next());
    const arrivesMs = Math.max(this.#lastArrivalMs, this.#clock.nowMs() + delayMs);
    this.#lastArrivalMs = arrivesMs;
    this.#queue.push({ bytes, arrivesMs });
    if (random.chance(weather.stallRate)) this.stall(random.magnitude(50, weather.stallMsMax));
    this.#wait();
  }

  #openAtMs(): number {
    return Math.max(this.#stalledUntilMs, this.#weather.silentUntilMs);
  }

  #wait(): void {
    const [head] = this.#queue;
    if (head === undefined || this.#waiting) return;
    this.#waiting = true;
    const atMs = Math.max(head.arrivesMs, this.#openAtMs());
    this.#clock.after(atMs - this.#clock.nowMs(), () => {
      this.#waiting = false;
      this.#arrive();
    });
  }

  #arrive(): void {
    if (this.#openAtMs() <= this.#clock.nowMs()) {
      const head = this.#queue.shift();
      if (head !== undefined) this.#deliver(head.bytes);
    }
    this.#wait();
  }
}
