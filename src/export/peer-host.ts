import type { Checksum } from '../../wasm/checksums.js';
import type { Secret } from '../access/secret.js';
import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import type { Hello, Welcome } from '../protocol/messages.js';
import type { Peer } from './peer.js';
import type { ExportSession } from './session.js';

/** What a peer was admitted to; `session` is absent where it only asked. */
export interface Admission {
  /** What to tell it, as things are when it is called. */
  welcome(): Welcome;
  readonly checksum: Checksum;
  readonly session: ExportSession | undefined;
}

/** The server's side of the handshake. */
export interface PeerHost {
  readonly log: Log;
  readonly clock: Clock;
  readonly draining: boolean;
  /** What a client must prove to hold before its HELLO is decided on. */
  readonly secret: Secret | undefined;
  /**
   * Takes what a wrong proof costs, in advance; false where the client's address has nothing
   * left, and the client is not to be asked.
   */
  chargeProof(peer: Peer): boolean;
  /** The proof held, or never came: gives that back. Once for each charge, at most. */
  refundProof(peer: Peer): void;
  /** Whether the log may say that this client was refused, or cut off. */
  mayTell(peer: Peer): boolean;
  /** Decides on a HELLO; rejects with the `DstError` to refuse it with. */
  admit(peer: Peer, hello: Hello): Promise<Admission>;
  /** The client has done with its session. */
  leave(peer: Peer): void;
  /** The connection has ended. */
  gone(peer: Peer): void;
  /** A write came damaged. */
  countDamaged(): void;
}
