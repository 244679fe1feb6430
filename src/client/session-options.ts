import type { ChecksumName } from '../../wasm/checksums.js';
import type { Secret } from '../access/secret.js';
import { type Clock, systemClock } from '../clock.js';
import {
  PING_INTERVAL_MS,
  REPLAY_BUFFER_BYTES,
  RESEND_TIMEOUT_MS,
  RESENDS_MAX,
} from '../limits.js';
import type { Log } from '../log.js';
import type { Connection } from '../transport/transport.js';
import type { Dial } from './dial.js';
import type { LanesChoice } from './lane-keeper.js';
import type { ConnectionNews, Route } from './route/route.js';
import { SessionIdentity } from './session-identity.js';
import type { PathChange } from './state-log.js';

/** What a session with an export is opened with. */
export interface SessionOptions {
  readonly dial: Dial;
  readonly exportName: string;
  /** Checksums to accept; the export's order decides among them. */
  readonly checksums: readonly ChecksumName[];
  readonly readOnly: boolean;
  /** Shared with the export, which must hold it too. */
  readonly secret?: Secret | undefined;
  readonly log: Log;
  readonly resendTimeoutMs?: number;
  /** Infinity to never give a command up. */
  readonly maxResends?: number;
  readonly pingIntervalMs?: number;
  /** Bytes of acked writes that are kept until a flush covers them; 0 keeps none. */
  readonly replayBufferBytes?: number;
  /** An outage that lasts longer ends the session; Infinity unless given. */
  readonly maxOutageMs?: number;
  /** Connections side by side, as far as the export allows them; 1 unless given. */
  readonly lanes?: LanesChoice;
  /** Fences whoever writes to the export now, and writes in his place. */
  readonly takeover?: boolean;
  /** Calls back whenever another way to the export may be better; returns how to stop. */
  readonly watchPath?: (changed: (why?: PathChange) => void) => () => void;
  /** Told what becomes of each connection that says HELLO. */
  readonly heard?: (connection: Connection, news: ConnectionNews) => void;
  /** By which transport the export said WELCOME last, where there is a choice. */
  readonly currentRoute?: () => Route | undefined;
  /** Called when the export's store has another size, which `offered` says by then. */
  readonly onResized?: (sizeBytes: number) => void;
  /**
   * To be kept by whoever tries more than once to open the session. It says where the session's
   * record is kept, and whether it is resumed from one.
   */
  readonly identity?: SessionIdentity;
  readonly clock?: Clock;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

type Defaulted =
  | 'resendTimeoutMs'
  | 'maxResends'
  | 'pingIntervalMs'
  | 'replayBufferBytes'
  | 'maxOutageMs'
  | 'lanes'
  | 'identity'
  | 'clock'
  | 'random';

/** The same, with a value for all that has a default. */
export type CompleteSessionOptions = SessionOptions & Required<Pick<SessionOptions, Defaulted>>;

export function completed(options: SessionOptions): CompleteSessionOptions {
  return {
    resendTimeoutMs: RESEND_TIMEOUT_MS,
    maxResends: RESENDS_MAX,
    pingIntervalMs: PING_INTERVAL_MS,
    replayBufferBytes: REPLAY_BUFFER_BYTES,
    maxOutageMs: Number.POSITIVE_INFINITY,
    lanes: 1,
    clock: systemClock,
    random: Math.random,
    ...options,
    identity: options.identity ?? new SessionIdentity(),
  };
}
