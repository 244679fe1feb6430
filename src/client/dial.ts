import type { Connection } from '../transport/transport.js';

export interface DialRequest {
  /** For the attempt as a whole, ms. */
  readonly timeoutMs: number;
  /** Aborted when the connection is not wanted any more: reject soon, and leave nothing open. */
  readonly signal: AbortSignal;
  /** Counts up from 0: an export with several addresses is tried at another one each time. */
  readonly attempt: number;
  /** The way of this connection is to be taken: its transport, and the address of its peer. */
  readonly like?: Connection;
}

/** Makes one transport connection to the export; rejects with a `DstError`. */
export type Dial = (request: DialRequest) => Promise<Connection>;
