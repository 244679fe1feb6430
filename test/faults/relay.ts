/**
 * What misbehaves on command between clients and one export, as home routers, mobile networks
 * and bad lines do: `udp-relay.ts` under QUIC, `tcp-relay.ts` under WebTransport over HTTP/2.
 */

export interface LinkFaults {
  /** One way, each way. */
  readonly delayMs: number;
  /** Each packet's delay differs by up to so much. */
  readonly jitterMs: number;
  readonly lossShare: number;
  /** Of what is sent, so much arrives with one bit flipped. */
  readonly corruptShare: number;
  /** Nothing passes; nobody is told. */
  readonly down: boolean;
}

export const HEALTHY_LINK: LinkFaults = {
  delayMs: 0,
  jitterMs: 0,
  lossShare: 0,
  corruptShare: 0,
  down: false,
};

/** How often each thing happened. */
export interface LinkCounters {
  passed: number;
  lost: number;
  /** Vanished while the link was down. */
  cut: number;
  corrupted: number;
  /** Mappings of a NAT that were forgotten. */
  rebindings: number;
}

export function newLinkCounters(): LinkCounters {
  return { passed: 0, lost: 0, cut: 0, corrupted: 0, rebindings: 0 };
}

export interface Relay<Faults = LinkFaults, Counters = LinkCounters> {
  /** Where clients find the export. */
  readonly port: number;
  readonly counters: Counters;
  /** Changes the link from now on; what is not named stays as it is. */
  set(faults: Partial<Faults>): void;
  /** The link is as good as new. */
  heal(): void;
  /** A NAT on the way forgets its mappings, as each kind of NAT does for the protocol. */
  rebind(): void;
  /** Connections on which both ends have said something lately. */
  connectionsAlive(withinMs: number): number;
}

/** The bytes with one bit flipped. */
export function corrupted(bytes: Buffer, random: () => number): Buffer {
  const damaged = Buffer.from(bytes);
  const at = Math.floor(random() * damaged.length);
  damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at);
  return damaged;
}
