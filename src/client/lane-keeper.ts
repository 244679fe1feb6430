import { availableParallelism } from 'node:os';
import type { Clock, Timer } from '../clock.js';
import { DstError } from '../errors.js';
import {
  LANE_RETRY_DELAY_MAX_MS,
  LANE_RETRY_DELAY_MIN_MS,
  LANES_AUTO_LONG_PATH,
  LANES_AUTO_PROCESSORS_EACH,
  LANES_AUTO_SHORT_PATH_MAX,
  LANES_LONG_PATH_ROUND_TRIP_MS,
  LANES_MEASURING_PINGS,
  LANES_STEADY_AFTER_MS,
} from '../limits.js';
import type { Log } from '../log.js';
import type { Lane } from './lane.js';
import type { Link } from './link.js';

/** How many lanes, from 1 to LANES_MAX; "auto" goes by the round trip and the processors. */
export type LanesChoice = number | 'auto';

/** How many lanes there are, and how many are wanted. */
export interface LaneCount {
  readonly open: number;
  readonly wanted: number;
}

export interface LaneKeeperOptions {
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly choice: LanesChoice;
  /** Dials a further lane of that number, and has it join the link's epoch. */
  readonly open: (link: Link, lane: number, signal: AbortSignal) => Promise<Lane>;
  /** Those that this process may use. */
  readonly processors?: number;
}

/**
 * Keeps as many lanes in a session's link as are wanted, one link after the other. One lane is
 * dialled at a time: all of them at once would look like an attack where connections are counted.
 */
export class LaneKeeper {
  readonly #options: LaneKeeperOptions;
  #choice: LanesChoice;
  #link: Link | undefined;
  /** When the link was attached, or got its last lane: what came last has to show that it holds. */
  #changedMs = 0;
  /** The link's round trip is known well enough to decide by. */
  #measured = false;
  /** By the export. */
  #allowed = 1;
  #dialling: AbortController | undefined;
  #timer: Timer | undefined;
  /** Before the next attempt, where the last was for nothing. */
  #delayMs = 0;
  #lastFailure: string | undefined;

  constructor(options: LaneKeeperOptions) {
    this.#options = options;
    this.#choice = options.choice;
  }

  /** As things are; none are open while there is no link. */
  get count(): LaneCount {
    return { open: this.#link?.lanes.length ?? 0, wanted: this.#wanted };
  }

  /** Keeps this link in lanes from here on, and no other. */
  attach(link: Link): void {
    this.detach();
    this.#link = link;
    this.#changedMs = this.#options.clock.nowMs();
    this.#allowed = link.welcome.lanes;
    this.#measured = false;
    if (this.#choice === 'auto') this.#measure(link);
    if (this.#delayMs > 0) this.#arm();
    else this.#review();
  }

  /** The link is of no more use, or another one takes its place. */
  detach(): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    this.#dialling?.abort();
    this.#dialling = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    const steady = this.#options.clock.nowMs() - this.#changedMs >= LANES_STEADY_AFTER_MS;
    if (steady) this.#delayMs = 0;
    // What it ended of may be a lane on a way that carries nothing: not again at once.
    else if (link.lanes.length > 1) this.#backOff();
  }

  /** Another number is wanted: takes effect at once where there is a link. */
  choose(choice: LanesChoice): void {
    this.#choice = choice;
    if (choice === 'auto' && !this.#measured && this.#link) this.#measure(this.#link);
    this.#hurry();
  }

  /** The export allows a session so many. */
  allow(lanes: number): void {
    this.#allowed = lanes;
    this.#hurry();
  }

  get #wanted(): number {
    const choice = this.#choice === 'auto' ? this.#automatic() : this.#choice;
    return Math.max(1, Math.min(choice, this.#allowed));
  }

  #automatic(): number {
    const { processors = availableParallelism() } = this.#options;
    const byProcessors = Math.floor(processors / LANES_AUTO_PROCESSORS_EACH);
    const short = Math.max(1, Math.min(LANES_AUTO_SHORT_PATH_MAX, byProcessors));
    if (this.#link === undefined || !this.#measured) return 1;
    const long = this.#link.roundTripMs >= LANES_LONG_PATH_ROUND_TRIP_MS;
    return long ? Math.max(LANES_AUTO_LONG_PATH, short) : short;
  }

  /**
   * WELCOME may have waited for a disk, or for commands in progress; a pong only for a processor
   * that is busy, and one of several hardly does.
   */
  #measure(link: Link): void {
    const measured = () => {
      if (link !== this.#link) return;
      this.#measured = true;
      this.#review();
    };
    findRoundTrip(link).then(measured, () => {});
  }

  #hurry(): void {
    this.#delayMs = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#review();
  }

  /** Gives up what is too many, and begins to make what is missing. */
  #review(): void {
    const link = this.#link;
    if (link === undefined) return;
    const wanted = this.#wanted;
    link.keep(wanted);
    if (this.#dialling !== undefined || this.#timer !== undefined) return;
    for (let lane = 1; lane < wanted; lane++) {
      if (link.lanes.includes(lane)) continue;
      void this.#dial(link, lane);
      return;
    }
  }

  async #dial(link: Link, number: number): Promise<void> {
    const dialling = new AbortController();
    this.#dialling = dialling;
    const isCurrent = () => this.#dialling === dialling;
    try {
      const lane = await this.#options.open(link, number, dialling.signal);
      if (!isCurrent() || number >= this.#wanted) lane.close('it is not wanted any more');
      else {
        link.add(lane);
        this.#changedMs = this.#options.clock.nowMs();
      }
      this.#lastFailure = undefined;
    } catch (error) {
      if (!(error instanceof DstError)) throw error;
      if (isCurrent()) this.#onFailed(error);
    }
    if (!isCurrent()) return;
    this.#dialling = undefined;
    this.#review();
  }

  #onFailed({ code, message }: DstError): void {
    this.#backOff();
    this.#arm();
    if (code === this.#lastFailure) return;
    this.#lastFailure = code;
    const { open, wanted } = this.count;
    this.#options.log.info(
      { code, lanes: open, wanted },
      `a further lane cannot be made, and is tried again now and then: ${message}`,
    );
  }

  #backOff(): void {
    const delayMs = Math.max(LANE_RETRY_DELAY_MIN_MS, 2 * this.#delayMs);
    this.#delayMs = Math.min(LANE_RETRY_DELAY_MAX_MS, delayMs);
  }

  #arm(): void {
    const { clock, random } = this.#options;
    this.#timer = clock.after(this.#delayMs * (0.5 + random() / 2), () => {
      this.#timer = undefined;
      this.#review();
    });
  }
}

/** Resolves once it is known whether the path is long; rejects when the link goes down. */
async function findRoundTrip(link: Link): Promise<void> {
  for (let pings = 0; pings < LANES_MEASURING_PINGS; pings++) {
    await link.ping();
    if (link.roundTripMs < LANES_LONG_PATH_ROUND_TRIP_MS) return;
  }
}
