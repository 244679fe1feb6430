/** A relay of datagrams, which it loses, doubles, reorders and damages. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Cleanup } from '../support/cleanup.js';
import { seededRandom } from './random.js';
import {
  corrupted,
  HEALTHY_LINK,
  type LinkCounters,
  type LinkFaults,
  newLinkCounters,
  type Relay,
} from './relay.js';

const HOST = '127.0.0.1';

/** What fits an Ethernet frame beside the headers of IPv4 and UDP. */
export const ETHERNET_UDP_BYTES = 1472;

/** Bursts must not be lost to the relay itself. */
const SOCKET_BUFFER_BYTES = 4 * 2 ** 20;

/** Jitter reorders. */
export interface DatagramFaults extends LinkFaults {
  readonly duplicateShare: number;
  /** Larger datagrams vanish; nobody is told. */
  readonly datagramBytesMax: number;
}

const HEALTHY: DatagramFaults = {
  ...HEALTHY_LINK,
  duplicateShare: 0,
  datagramBytesMax: ETHERNET_UDP_BYTES,
};

/** Packets, but for the rebindings. */
export interface DatagramCounters extends LinkCounters {
  tooLarge: number;
  duplicated: number;
  reordered: number;
}

/** One way of one client's packets. */
class Direction {
  #sent = 0;
  #newestArrived = 0;

  next(): number {
    return ++this.#sent;
  }

  /** Whether a packet arrives after one that was sent later. */
  arrivesLate(sequence: number): boolean {
    const late = sequence < this.#newestArrived;
    this.#newestArrived = Math.max(this.#newestArrived, sequence);
    return late;
  }
}

/** A client as the relay knows it: by its address, with a port of its own towards the export. */
interface Mapping {
  readonly port: number;
  readonly address: string;
  readonly up: Direction;
  readonly down: Direction;
  upstream: Socket;
  lastUpMs: number;
  lastDownMs: number;
}

export class UdpRelay implements Relay<DatagramFaults, DatagramCounters> {
  readonly counters: DatagramCounters = {
    ...newLinkCounters(),
    tooLarge: 0,
    duplicated: 0,
    reordered: 0,
  };
  readonly #front: Socket;
  readonly #targetPort: number;
  readonly #random: () => number;
  readonly #mappings = new Map<string, Mapping>();
  readonly #delayed = new Set<NodeJS.Timeout>();
  #faults = HEALTHY;

  private constructor(front: Socket, targetPort: number, seed: number) {
    this.#front = front;
    this.#targetPort = targetPort;
    this.#random = seededRandom(seed);
    front.on('message', (packet, { address, port }) => this.#onClientPacket(packet, address, port));
    front.on('error', () => {});
  }

  /** Relays to a port of this machine; it is closed with the test. */
  static async start(t: Cleanup, targetPort: number, seed = 1): Promise<UdpRelay> {
    const front = newSocket();
    front.bind(0, HOST);
    await once(front, 'listening');
    const relay = new UdpRelay(front, targetPort, seed);
    t.after(() => relay.#close());
    return relay;
  }

  get port(): number {
    return (this.#front.address() as AddressInfo).port;
  }

  set(faults: Partial<DatagramFaults>): void {
    this.#faults = { ...this.#faults, ...faults };
  }

  heal(): void {
    this.#faults = HEALTHY;
  }

  /** Every client gets another port towards the export. */
  rebind(): void {
    for (const mapping of this.#mappings.values()) {
      const forgotten = mapping.upstream;
      mapping.upstream = this.#openUpstream(mapping);
      forgotten.close();
      this.counters.rebindings++;
    }
  }

  connectionsAlive(withinMs: number): number {
    const sinceMs = performance.now() - withinMs;
    return [...this.#mappings.values()].filter(
      ({ lastUpMs, lastDownMs }) => lastUpMs > sinceMs && lastDownMs > sinceMs,
    ).length;
  }

  #onClientPacket(packet: Buffer, address: string, port: number): void {
    const mapping = this.#mappingOf(address, port);
    mapping.lastUpMs = performance.now();
    this.#pass(packet, mapping.up, (passed) =>
      // A mapping that was replaced meanwhile sends from its new port.
      mapping.upstream.send(passed, this.#targetPort, HOST),
    );
  }

  #mappingOf(address: string, port: number): Mapping {
    const key = `${address}:${port}`;
    const known = this.#mappings.get(key);
    if (known !== undefined) return known;
    const upstream = newSocket();
    const mapping: Mapping = {
      address,
      port,
      up: new Direction(),
      down: new Direction(),
      upstream,
      lastUpMs: 0,
      lastDownMs: 0,
    };
    mapping.upstream = this.#openUpstream(mapping, upstream);
    this.#mappings.set(key, mapping);
    return mapping;
  }

  #openUpstream(mapping: Mapping, socket = newSocket()): Socket {
    socket.on('message', (packet) => {
      mapping.lastDownMs = performance.now();
      this.#pass(packet, mapping.down, (passed) =>
        this.#front.send(passed, mapping.port, mapping.address),
      );
    });
    // An export that is away refuses packets; the client is not told, as on a real network.
    socket.on('error', () => {});
    return socket;
  }

  #pass(packet: Buffer, direction: Direction, send: (packet: Buffer) => void): void {
    const faults = this.#faults;
    if (faults.down) this.counters.cut++;
    else if (packet.length > faults.datagramBytesMax) this.counters.tooLarge++;
    else if (this.#random() < faults.lossShare) this.counters.lost++;
    else {
      const passed = this.#random() < faults.corruptShare ? this.#damage(packet) : packet;
      this.#deliver(passed, direction, send);
      if (this.#random() < faults.duplicateShare) {
        this.counters.duplicated++;
        this.#deliver(passed, direction, send);
      }
    }
  }

  #damage(packet: Buffer): Buffer {
    this.counters.corrupted++;
    return corrupted(packet, this.#random);
  }

  #deliver(packet: Buffer, direction: Direction, send: (packet: Buffer) => void): void {
    const sequence = direction.next();
    const arrive = (): void => {
      if (direction.arrivesLate(sequence)) this.counters.reordered++;
      this.counters.passed++;
      send(packet);
    };
    const { delayMs, jitterMs } = this.#faults;
    const waitMs = delayMs + (this.#random() * 2 - 1) * jitterMs;
    if (waitMs <= 0) {
      arrive();
      return;
    }
    const timer = setTimeout(() => {
      this.#delayed.delete(timer);
      arrive();
    }, waitMs);
    this.#delayed.add(timer);
  }

  #close(): void {
    for (const timer of this.#delayed) clearTimeout(timer);
    for (const { upstream } of this.#mappings.values()) upstream.close();
    this.#front.close();
  }
}

function newSocket(): Socket {
  return createSocket({
    type: 'udp4',
    recvBufferSize: SOCKET_BUFFER_BYTES,
    sendBufferSize: SOCKET_BUFFER_BYTES,
  });
}
