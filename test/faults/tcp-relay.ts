/**
 * A relay of TCP connections. It ends TCP at itself, so that what happens to segments is not
 * seen by the two kernels beside it: `TcpWay` does what TCP would make of it.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import type { Cleanup } from '../support/cleanup.js';
import { seededRandom } from './random.js';
import { corrupted, HEALTHY_LINK, type LinkFaults, newLinkCounters, type Relay } from './relay.js';
import { CONNECT_RETRANSMIT_MS, type Line, TcpWay } from './tcp-way.js';

const HOST = '127.0.0.1';

/** What may be on its way, each way: then the sender's window is full. */
const WINDOW_BYTES = 4 * 2 ** 20;

/** TCP's handshake is a round trip, of which the relay's client sees nothing; and the way up. */
const CONNECT_TRIPS = 3;

const NO_BYTES = 0;

/** One end of a connection, and the way from it to the other end. */
interface End {
  readonly socket: Socket;
  readonly way: TcpWay;
  lastSaidMs: number;
}

/**
 * Node (20.20) never closes a socket that is reset while its end is on its way, and then spins for
 * ever as the process ends.
 */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** A client's connection, and the one that the relay has to the export for it. */
class Flow {
  readonly #line: Line;
  readonly #client: End;
  readonly #export: End;
  #forgotten = false;

  constructor(line: Line, client: Socket, targetPort: number) {
    this.#line = line;
    const upstream = new Socket({ allowHalfOpen: true });
    this.#client = { socket: client, way: new TcpWay(line), lastSaidMs: 0 };
    this.#export = { socket: upstream, way: new TcpWay(line), lastSaidMs: 0 };
    this.#client.way.send(
      { lengthBytes: NO_BYTES, deliver: () => upstream.connect(targetPort, HOST) },
      { retransmitMs: CONNECT_RETRANSMIT_MS, trips: CONNECT_TRIPS },
    );
    this.#relay(this.#client, this.#export);
    this.#relay(this.#export, this.#client);
  }

  get open(): boolean {
    return !this.#client.socket.destroyed || !this.#export.socket.destroyed;
  }

  /** Both ends have said something since, and are heard. */
  aliveSince(sinceMs: number): boolean {
    if (this.#forgotten) return false;
    return this.#client.lastSaidMs > sinceMs && this.#export.lastSaidMs > sinceMs;
  }

  /** Neither end hears of the other again, nor of this. */
  forget(): void {
    this.#forgotten = true;
    for (const { socket, way } of [this.#client, this.#export]) {
      way.close();
      // What is not read is not acked, as far as the sender can tell.
      socket.pause();
    }
  }

  reset(): void {
    for (const { socket, way } of [this.#client, this.#export]) {
      way.close();
      reset(socket);
    }
  }

  close(): void {
    for (const { socket, way } of [this.#client, this.#export]) {
      way.close();
      socket.destroy();
    }
  }

  #relay(from: End, to: End): void {
    from.socket.on('data', (chunk) => {
      from.lastSaidMs = performance.now();
      const bytes = this.#perhapsDamaged(chunk);
      from.way.send({ lengthBytes: bytes.length, deliver: () => this.#arrive(bytes, from, to) });
      this.#throttle(from, to);
    });
    to.socket.on('drain', () => this.#throttle(from, to));
    from.socket.on('end', () =>
      from.way.send({ lengthBytes: NO_BYTES, deliver: () => to.socket.end() }),
    );
    from.socket.on('error', () => this.#sendReset(from, to));
  }

  #arrive(bytes: Buffer, from: End, to: End): void {
    // As a machine answers what comes for a connection that it does not know.
    if (to.socket.destroyed) this.#sendReset(to, from);
    else to.socket.write(bytes);
    this.#throttle(from, to);
  }

  /** Nobody acks a reset, so that one which is lost is lost. */
  #sendReset(from: End, to: End): void {
    if (this.#line.faults.down) return;
    from.way.send({ lengthBytes: NO_BYTES, deliver: () => reset(to.socket) });
  }

  #throttle(from: End, to: End): void {
    const waitingBytes = from.way.queuedBytes + to.socket.writableLength;
    if (this.#forgotten || waitingBytes > WINDOW_BYTES) from.socket.pause();
    else from.socket.resume();
  }

  #perhapsDamaged(chunk: Buffer): Buffer {
    const { faults, counters, random } = this.#line;
    if (random() >= faults.corruptShare) return chunk;
    counters.corrupted++;
    return corrupted(chunk, random);
  }
}

export class TcpRelay implements Relay {
  readonly counters = newLinkCounters();
  readonly #server: Server;
  readonly #flows = new Set<Flow>();
  readonly #line: { faults: LinkFaults } & Line;

  private constructor(server: Server, targetPort: number, seed: number) {
    this.#server = server;
    this.#line = { faults: HEALTHY_LINK, counters: this.counters, random: seededRandom(seed) };
    server.on('connection', (client) => this.#onConnection(client, targetPort));
  }

  /** Relays to a port of this machine; it is closed with the test. */
  static async start(t: Cleanup, targetPort: number, seed = 1): Promise<TcpRelay> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, HOST);
    await once(server, 'listening');
    const relay = new TcpRelay(server, targetPort, seed);
    t.after(() => relay.#close());
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  set(faults: Partial<LinkFaults>): void {
    this.#line.faults = { ...this.#line.faults, ...faults };
  }

  heal(): void {
    this.#line.faults = HEALTHY_LINK;
  }

  /** Every connection is reset, as by a NAT that tells of it. */
  rebind(): void {
    for (const flow of this.#open()) {
      flow.reset();
      this.counters.rebindings++;
    }
  }

  /** Every connection goes dead, as by a NAT that tells nobody. */
  forget(): void {
    for (const flow of this.#open()) {
      flow.forget();
      this.counters.rebindings++;
    }
  }

  connectionsAlive(withinMs: number): number {
    const sinceMs = performance.now() - withinMs;
    return this.#open().filter((flow) => flow.aliveSince(sinceMs)).length;
  }

  #open(): Flow[] {
    for (const flow of this.#flows) if (!flow.open) this.#flows.delete(flow);
    return [...this.#flows];
  }

  #onConnection(client: Socket, targetPort: number): void {
    // What has ended is not kept until the test is over.
    this.#open();
    this.#flows.add(new Flow(this.#line, client, targetPort));
  }

  #close(): void {
    for (const flow of this.#flows) flow.close();
    this.#server.close();
  }
}
