/**
 * Who may connect, decided when the transport's handshake is done and before anything that the
 * client says is looked at: by how often its address comes, by the address, and by the names in
 * its certificate. What it may do is the least that any of these gives.
 */
import type { Clock } from '../clock.js';
import { DstError } from '../errors.js';
import { PROOF_FAILED_COST_CONNECTIONS } from '../limits.js';
import type { Log } from '../log.js';
import { printable } from '../printable.js';
import type { Connection, PeerAddress } from '../transport/transport.js';
import { certificateNames } from '../trust/certificate-names.js';
import { type AddressRule, permissionByAddress } from './address-rules.js';
import { type NameRule, permissionByName } from './name-rules.js';
import { lesser, type Permission } from './permission.js';
import { RateLimit } from './rate-limit.js';

export interface GateOptions {
  /** The first that matches decides; whom none matches is refused. */
  readonly addresses: readonly AddressRule[];
  /** Set where every client must show a certificate, which its transport has verified. */
  readonly names?: ClientNames | undefined;
  readonly connectionsPerMinute: number;
  readonly log: Log;
  readonly clock: Clock;
}

/** The first rule whose name a certificate has decides; with no rule at all any name will do. */
export interface ClientNames {
  readonly rules: readonly NameRule[];
}

export type Visitor = Pick<Connection, 'peer' | 'clientCertificate'>;

/** Why a connection is closed that came, or was asked for the secret, too often. */
export const TOO_OFTEN = 'too many connections from this address: wait a minute';

/**
 * `admitted`: its HELLO is to be heard. `refused`: it is to be told why. `dropped`: it is to be
 * closed at once, as telling it would cost too much.
 */
export type Decision =
  | { readonly kind: 'admitted'; readonly permission: Permission }
  | { readonly kind: 'refused'; readonly failure: DstError }
  | { readonly kind: 'dropped'; readonly reason: string };

export class Gate {
  readonly #options: GateOptions;
  readonly #rate: RateLimit;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#rate = new RateLimit(options.connectionsPerMinute, options.clock);
  }

  decide(visitor: Visitor): Decision {
    const { address } = visitor.peer;
    if (!this.#rate.take(address)) {
      this.#tell(visitor, `refused: more than ${this.#options.connectionsPerMinute} a minute`);
      return { kind: 'dropped', reason: TOO_OFTEN };
    }
    try {
      return { kind: 'admitted', permission: this.#permission(visitor) };
    } catch (failure) {
      if (!(failure instanceof DstError)) throw failure;
      this.#tell(visitor, `refused: ${failure.message}`, failure);
      return { kind: 'refused', failure };
    }
  }

  /**
   * A client's connection ended in its handshake, or its certificate was turned down: for the
   * log. It takes no token: what it cost is spent, and whoever else comes from that address
   * would pay.
   */
  handshakeFailed(peer: PeerAddress, why: string): void {
    this.#tell({ peer }, `refused in its handshake: ${why}`);
  }

  /**
   * A client is about to be asked for the shared secret: takes what a wrong proof costs, before
   * it comes, so that guesses side by side are as dear as one after the other. False where its
   * address has spent what it had: then it is to be dropped.
   */
  chargeProof(visitor: Visitor): boolean {
    if (this.#rate.charge(visitor.peer.address, PROOF_FAILED_COST_CONNECTIONS)) return true;
    this.#tell(visitor, 'refused: its address is asked for the secret too often');
    return false;
  }

  /** The proof was not wrong, or will not come. */
  refundProof({ peer }: Visitor): void {
    this.#rate.refund(peer.address, PROOF_FAILED_COST_CONNECTIONS);
  }

  /** Whether the log may say that this client was refused, or cut off: once in a while. */
  mayTell({ peer }: Visitor): boolean {
    return this.#rate.mayTell(peer.address);
  }

  #permission(visitor: Visitor): Permission {
    const { addresses, names } = this.#options;
    const byAddress = permissionByAddress(addresses, visitor.peer.address);
    if (byAddress === undefined) throw addressDenied(visitor.peer.address);
    return names === undefined ? byAddress : lesser(byAddress, byCertificate(visitor, names));
  }

  /** A stranger decides how often he comes, but not how often the log says so. */
  #tell(visitor: Visitor, what: string, failure?: DstError): void {
    if (!this.mayTell(visitor)) return;
    const { peer } = visitor;
    const details = failure === undefined ? { peer } : { peer, code: failure.code };
    // With names from a certificate, or words of a client's that never got this far.
    this.#options.log.warn(details, printable(what));
  }
}

function byCertificate({ clientCertificate }: Visitor, { rules }: ClientNames): Permission {
  if (clientCertificate === undefined) throw certificateRefused();
  if (rules.length === 0) return 'rw';
  const names = certificateNames(clientCertificate);
  const permission = permissionByName(rules, names);
  if (permission === undefined) throw nameDenied(names);
  return permission;
}

/** Says which kind of rule, and not the rules. */
function addressDenied(address: string): DstError {
  return new DstError(
    'DST_E_ADDRESS_DENIED',
    `the export lets no client in from ${address}: ask whoever runs it to add --allow ${address}`,
  );
}

function nameDenied(names: readonly string[]): DstError {
  const shown = names.length === 0 ? 'no name' : names.slice(0, NAMES_SHOWN_MAX).join(', ');
  return new DstError(
    'DST_E_NAME_DENIED',
    `the export lets in no client whose certificate has ${shown.slice(0, NAMES_CHARACTERS_MAX)}: ask whoever runs it to --allow-name one of these, or use another certificate`,
  );
}

/** Where the transport's own check was passed, and ours was not. */
function certificateRefused(): DstError {
  return new DstError(
    'DST_E_CERT_CLIENT',
    "the export accepts no certificate of this client: give one from the export's CA with --client-cert and --client-key",
  );
}

const NAMES_SHOWN_MAX = 8;
const NAMES_CHARACTERS_MAX = 300;
