/**
 * One connection of the simulated network, from its client's end to its export's end. What
 * one end knows of the other may be wrong: an end that is gone leaves the other half-open,
 * and bytes that it sent may arrive long after.
 */
import type { Clock } from '../../src/clock.js';
import { DstError } from '../../src/errors.js';
import { QUIC_IDLE_TIMEOUT_MS } from '../../src/limits.js';
import type {
  CloseReason,
  Connection,
  PeerAddress,
  Stream,
} from '../../src/transport/transport.js';
import { Flow, type Weather } from './flow.js';
import type { Random } from './random.js';

/** Which ends learn at once that a connection is lost; the others find out by silence. */
export type Cut = 'both' | 'client' | 'export' | 'neither';

export interface LineOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly weather: Weather;
  /** Share of the hang-ups that the other end does not hear. */
  readonly unheardRate: number;
}

export class Line {
  readonly client: End;
  readonly server: End;
  readonly #options: LineOptions;
  /** The two directions of each stream. */
  readonly #flows: { readonly toServer: Flow; readonly toClient: Flow }[] = [];

  constructor(options: LineOptions, port: number) {
    this.#options = options;
    this.client = new End(this, { address: 'export', port: 1 });
    this.server = new End(this, { address: 'client', port });
  }

  get open(): boolean {
    return !this.client.closed || !this.server.closed;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  /** The connection is lost, from any byte on. */
  cut(cut: Cut): void {
    const { random } = this.#options;
    for (const { toServer, toClient } of this.#flows) {
      // What a client sent before it gave up may arrive all the same, and late.
      if (cut === 'client') this.#linger(toServer);
      else toServer.truncate();
      if (cut === 'export') this.#linger(toClient);
      else toClient.truncate();
    }
    const soonMs = random.between(0, 20);
    const lateMs = random.between(1_000, QUIC_IDLE_TIMEOUT_MS);
    const clientHears = cut === 'both' || cut === 'client';
    const serverHears = cut === 'both' || cut === 'export';
    this.#loseLater(this.client, clientHears ? soonMs : lateMs);
    this.#loseLater(this.server, serverHears ? soonMs : lateMs);
  }

  /** One end has hung up; the other may hear of it, or not. */
  hungUp(by: End): void {
    const { random, weather } = this.#options;
    const other = by === this.client ? this.server : this.client;
    const heard = !random.chance(this.#options.unheardRate);
    for (const { toServer, toClient } of this.#flows) {
      const outbound = by === this.client ? toServer : toClient;
      if (heard) outbound.truncate();
      else this.#linger(outbound);
    }
    this.#loseLater(other, heard ? weather.latencyMs : random.between(1_000, QUIC_IDLE_TIMEOUT_MS));
  }

  /** The export's process is gone; the client may be told when another one is there. */
  serverDied(): void {
    this.server.die();
    const { random } = this.#options;
    for (const { toServer, toClient } of this.#flows) {
      toServer.drop();
      toClient.truncate();
    }
    this.#loseLater(
      this.client,
      random.chance(0.5) ? random.between(0, 1_000) : QUIC_IDLE_TIMEOUT_MS,
    );
  }

  /** The client's process is gone; what it sent may yet arrive, and the export hear of it late. */
  clientDied(): void {
    this.client.die();
    const { random } = this.#options;
    for (const { toServer, toClient } of this.#flows) {
      if (random.chance(0.5)) this.#linger(toServer);
      else toServer.truncate();
      toClient.drop();
    }
    this.#loseLater(
      this.server,
      random.chance(0.5) ? random.between(0, 1_000) : QUIC_IDLE_TIMEOUT_MS,
    );
  }

  /** Holds up one direction of one stream; its number is taken modulo what there is. */
  stall(number: number, durationMs: number): void {
    const flows = this.#flows[(number >> 1) % Math.max(1, this.#flows.length)];
    if (flows === undefined) return;
    if (number % 2 === 0) flows.toServer.stall(durationMs);
    else flows.toClient.stall(durationMs);
  }

  /** Holds up requests on some streams, and nothing on the control stream, which is the first. */
  stallRequests(durationMs: number): void {
    for (const { toServer } of this.#flows.slice(1)) {
      if (this.#options.random.chance(0.5)) toServer.stall(durationMs);
    }
  }

  openStream(): Stream {
    const { clock, random, weather } = this.#options;
    const id = this.#flows.length;
    const toServer = new Flow(clock, random, weather, (bytes) => this.server.arrive(id, bytes));
    const toClient = new Flow(clock, random, weather, (bytes) => this.client.arrive(id, bytes));
    this.#flows.push({ toServer, toClient });
    return this.client.join(id, toServer);
  }

  /** The export's end of a stream of which it has just heard. */
  accept(id: number): Stream | undefined {
    const flows = this.#flows[id];
    return flows === undefined ? undefined : this.server.join(id, flows.toClient);
  }

  #linger(flow: Flow): void {
    const { random } = this.#options;
    flow.shut();
    if (random.chance(0.7)) flow.stall(random.magnitude(100, 15_000));
  }

  #loseLater(end: End, delayMs: number): void {
    this.clock.after(delayMs, () => end.lose({ message: 'the connection was lost' }));
  }
}

/** One end of a line. */
export class End implements Connection {
  readonly transport = 'memory';
  readonly peer: PeerAddress;
  readonly #line: Line;
  readonly #streams = new Map<number, SimulatedStream>();
  #closeHandlers: ((reason: CloseReason) => void)[] = [];
  #closed: CloseReason | undefined;
  #streamHandler: ((stream: Stream) => void) | undefined;

  constructor(line: Line, peer: PeerAddress) {
    this.#line = line;
    this.peer = peer;
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  openStream(): Stream {
    if (this.closed) throw new DstError('DST_E_CONNECTION_LOST', 'the connection is closed');
    return this.#line.openStream();
  }

  onStream(handler: (stream: Stream) => void): void {
    this.#streamHandler = handler;
  }

  onClose(handler: (reason: CloseReason) => void): void {
    if (this.#closed === undefined) this.#closeHandlers.push(handler);
    else handler(this.#closed);
  }

  close(message: string): void {
    if (this.closed) return;
    this.#line.hungUp(this);
    this.lose({ message });
  }

  keepAlive(): void {}

  /** The process that dialled it is killed. */
  diallerDied(): void {
    this.#line.clientDied();
  }

  /** The end learns that the connection is gone. */
  lose(reason: CloseReason): void {
    if (this.closed) return;
    this.#closed = reason;
    this.#streams.clear();
    for (const handler of this.#closeHandlers.splice(0)) handler(reason);
  }

  /** As when its process is killed: nobody learns anything. */
  die(): void {
    this.#closeHandlers = [];
    this.lose({ message: 'the process was killed' });
  }

  join(id: number, outbound: Flow): SimulatedStream {
    const stream = new SimulatedStream(id, this, outbound);
    this.#streams.set(id, stream);
    return stream;
  }

  arrive(id: number, bytes: Buffer): void {
    if (this.closed) return;
    if (!this.#streams.has(id)) {
      const stream = this.#line.accept(id);
      if (stream !== undefined) this.#streamHandler?.(stream);
    }
    this.#streams.get(id)?.arrive(bytes);
  }

  soon(task: () => void): void {
    this.#line.clock.after(0, task);
  }
}

class SimulatedStream implements Stream {
  readonly id: number;
  readonly queuedBytes = 0;
  readonly #end: End;
  readonly #outbound: Flow;
  readonly #early: Buffer[] = [];
  #handler: ((chunk: Buffer) => void) | undefined;

  constructor(id: number, end: End, outbound: Flow) {
    this.id = id;
    this.#end = end;
    this.#outbound = outbound;
  }

  write(pieces: readonly Buffer[], taken?: () => void): void {
    if (!this.#end.closed) this.#outbound.send(Buffer.concat(pieces as Buffer[]));
    if (taken !== undefined) this.#end.soon(taken);
  }

  onData(handler: (chunk: Buffer) => void): void {
    this.#handler = handler;
    for (const chunk of this.#early.splice(0)) handler(chunk);
  }

  arrive(bytes: Buffer): void {
    if (this.#handler === undefined) this.#early.push(bytes);
    else this.#handler(bytes);
  }
}
