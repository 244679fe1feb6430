import type { ChecksumName } from '../../wasm/checksums.js';
import type { Secret } from '../access/secret.js';
import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import type { Connection } from '../transport/transport.js';
import type { Dial } from './link.js';
import type { ConnectionNews, Route } from './route/route.js';
import type { SessionIdentity } from './session-identity.js';
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
