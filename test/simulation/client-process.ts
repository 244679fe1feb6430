import type { DialRequest } from '../../src/client/dial.js';
import { RemoteDevice } from '../../src/client/remote-device.js';
import { SessionIdentity } from '../../src/client/session-identity.js';
import type { SessionJournal, SessionRecord } from '../../src/client/session-record.js';
import type { Clock } from '../../src/clock.js';
import { DstError, type DstErrorCode } from '../../src/errors.js';
import type { Log } from '../../src/log.js';
import type { Connection } from '../../src/transport/transport.js';
import { Violation } from './checker.js';
import { CHECKSUM, EXPORT_NAME } from './export-process.js';
import type { End } from './line.js';
import type { SimulatedNetwork } from './network.js';
import type { Plan } from './plan.js';
import type { Random } from './random.js';
import { MortalClock } from './virtual-clock.js';

const CONNECT_RETRY_MS = 300;

const FINAL_REFUSALS = new Set<DstErrorCode>(['DST_E_TAKEN_OVER', 'DST_E_REPLAY_LOST']);

export interface ClientProcessOptions {
  readonly plan: Plan;
  readonly clock: Clock;
  readonly random: Random;
  readonly network: SimulatedNetwork;
  readonly log: Log;
  readonly replayBufferBytes: number;
  readonly takeover: boolean;
  readonly journal: SessionJournal;
  /** What the process before has left. */
  readonly resume: SessionRecord | undefined;
}

/** A process of a client, from its start until it is killed. */
export class ClientProcess {
  /** Rejects where it is refused for good; never settles any more once it is killed. */
  readonly device: Promise<RemoteDevice>;
  /** Resolves when it is killed. */
  readonly killed: Promise<void>;
  readonly #options: ClientProcessOptions;
  readonly #clock: MortalClock;
  readonly #connections: End[] = [];
  #dead = false;
  #tellKilled: () => void = () => {};

  constructor(options: ClientProcessOptions) {
    this.#options = options;
    this.#clock = new MortalClock(options.clock);
    this.killed = new Promise((resolve) => {
      this.#tellKilled = resolve;
    });
    this.device = this.#connect();
    this.device.catch(() => {});
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** SIGKILL: all its memory is gone. */
  kill(): void {
    this.#dead = true;
    this.#clock.kill();
    for (const connection of this.#connections) connection.diallerDied();
    this.#tellKilled();
  }

  /** Tries until it is connected, or refused for good. */
  async #connect(): Promise<RemoteDevice> {
    const { journal, resume, log } = this.#options;
    // The export may have let in an attempt that never heard of it.
    const identity = new SessionIdentity({ journal, resume });
    for (;;) {
      try {
        return await this.#open(identity);
      } catch (error) {
        if (!(error instanceof DstError)) throw error;
        log.info(`cannot connect: ${error.code}`);
        if (error.code === 'DST_E_EPOCH') throw new Violation('an epoch was used twice');
        if (FINAL_REFUSALS.has(error.code)) throw error;
        await new Promise<void>((resolve) => this.#clock.after(CONNECT_RETRY_MS, resolve));
      }
    }
  }

  #open(identity: SessionIdentity): Promise<RemoteDevice> {
    const { plan, random, log, takeover, replayBufferBytes } = this.#options;
    return RemoteDevice.connect({
      dial: (request) => this.#dial(request),
      exportName: EXPORT_NAME,
      checksums: [CHECKSUM],
      readOnly: false,
      log,
      clock: this.#clock,
      random: () => random.next(),
      resendTimeoutMs: plan.resendTimeoutMs,
      maxResends: plan.maxResends,
      takeover,
      replayBufferBytes,
      lanes: plan.lanes,
      identity,
    });
  }

  /** Nobody hears of what comes of an attempt after the process was killed. */
  #dial(request: DialRequest): Promise<Connection> {
    return new Promise((resolve, reject) => {
      this.#options.network.dial(request).then(
        (connection) => {
          if (this.#dead) {
            connection.diallerDied();
            return;
          }
          this.#connections.push(connection);
          resolve(connection);
        },
        (error: unknown) => {
          if (!this.#dead) reject(error as Error);
        },
      );
    });
  }
}
