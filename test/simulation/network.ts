import type { DialRequest } from '../../src/client/dial.js';
import type { Clock } from '../../src/clock.js';
import { DstError, type DstErrorCode } from '../../src/errors.js';
import type { Connection, Listener } from '../../src/transport/transport.js';
import type { Weather } from './flow.js';
import { type End, Line } from './line.js';
import type { Random } from './random.js';

/** What becomes of attempts to connect. */
export type DialTrouble = 'none' | 'refused' | 'silent';

/** A network in virtual time, with one export on it at a time, whose faults come from a seed. */
export class SimulatedNetwork {
  readonly weather: Weather;
  dialTrouble: DialTrouble = 'none';
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #unheardRate: number;
  #lines: Line[] = [];
  #lineCount = 0;
  #accept: ((connection: Connection) => void) | undefined;

  constructor(clock: Clock, random: Random, weather: Weather, unheardRate: number) {
    this.#clock = clock;
    this.#random = random;
    this.weather = { ...weather };
    this.#unheardRate = unheardRate;
  }

  /** Connections of which at least one end believes that they are open, oldest first. */
  get lines(): readonly Line[] {
    this.#lines = this.#lines.filter((line) => line.open);
    return this.#lines;
  }

  listen(): Listener {
    return {
      address: { address: 'export', port: 1 },
      transport: 'memory',
      onConnection: (handler) => {
        this.#accept = handler;
      },
      close: async () => {
        this.#accept = undefined;
      },
    };
  }

  /** The export's process is gone, and nobody listens until another one does. */
  serverDied(): void {
    this.#accept = undefined;
    for (const line of this.lines) line.serverDied();
  }

  /** Nothing at all arrives for so long. */
  silence(durationMs: number): void {
    const untilMs = this.#clock.nowMs() + durationMs;
    this.weather.silentUntilMs = Math.max(this.weather.silentUntilMs, untilMs);
  }

  /** Connects as `Dial` promises: within the request's time, or until its signal. */
  dial({ timeoutMs, signal }: DialRequest): Promise<End> {
    return new Promise((resolve, reject) => {
      let settled = false;
      const settle = (then: () => void) => {
        if (settled) return;
        settled = true;
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        then();
      };
      const fail = (code: DstErrorCode, message: string) =>
        settle(() => reject(new DstError(code, message)));
      const onAbort = () => fail('DST_E_ABORTED', 'the attempt to connect was called off');
      const timer = this.#clock.after(timeoutMs, () => fail('DST_E_TIMEOUT', 'nobody answered'));
      signal.addEventListener('abort', onAbort);
      const attempt = () => {
        if (settled) return;
        const outcome = this.#outcome();
        if (outcome === 'refused') fail('DST_E_UNREACHABLE', 'nobody listens');
        else if (outcome === 'silent') this.#clock.after(this.#random.between(100, 1_000), attempt);
        else
          this.#connect(
            (line) => settle(() => resolve(line.client)),
            () => settled,
          );
      };
      if (signal.aborted) onAbort();
      else this.#clock.after(this.#roundTripMs(), attempt);
    });
  }

  #outcome(): DialTrouble {
    if (this.weather.silentUntilMs > this.#clock.nowMs()) return 'silent';
    if (this.dialTrouble !== 'none') return this.dialTrouble;
    if (this.#accept === undefined) return this.#random.chance(0.5) ? 'refused' : 'silent';
    return 'none';
  }

  /** The export has the connection a moment before its client, who may not want it any more. */
  #connect(connected: (line: Line) => void, unwanted: () => boolean): void {
    const line = new Line(
      {
        clock: this.#clock,
        random: this.#random.fork(),
        weather: this.weather,
        unheardRate: this.#unheardRate,
      },
      ++this.#lineCount,
    );
    this.#lines.push(line);
    this.#accept?.(line.server);
    this.#clock.after(this.weather.latencyMs, () => {
      if (unwanted()) line.client.close('not wanted any more');
      else connected(line);
    });
  }

  #roundTripMs(): number {
    const { latencyMs, jitterMs } = this.weather;
    return 2 * latencyMs + this.#random.next() * jitterMs;
  }
}
