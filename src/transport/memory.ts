import { DstError } from '../errors.js';
import type {
  CloseReason,
  Connection,
  DialLimits,
  Listener,
  PeerAddress,
  Stream,
} from './transport.js';
import { throwIfAborted } from './wait-for.js';

/** The end of a connection that sent something. */
export type Sender = 'client' | 'export';

/** Breaks bytes, as no transport that authenticates its packets would. */
export interface Damage {
  /** On their way: what it returns arrives in place of what one `write` was given. */
  onTheWay?(bytes: Buffer, sender: Sender): Buffer;
  /** In memory: the receiver was handed this piece, and may still hold some of it. */
  afterReceipt?(piece: Buffer, sender: Sender): void;
}

/** How the in-memory network behaves; tests inject faults here. */
export interface MemoryNetworkOptions {
  /** One-way delay of the next piece, ms; 0 is the next turn of the event loop. */
  readonly delayMs?: () => number;
  /** Cuts a write into the pieces in which it arrives. */
  readonly split?: (bytes: Buffer) => Buffer[];
  /** Runs a task after a delay; tests put a virtual clock here. */
  readonly schedule?: (task: () => void, delayMs: number) => void;
  readonly damage?: Damage;
}

/**
 * A network inside one process: one listener, and connections to it that behave as a real
 * transport's do, on a schedule of the caller's. Order is kept on each stream, not across.
 */
export class MemoryNetwork {
  readonly #options: Required<MemoryNetworkOptions>;
  readonly #pairs = new Set<MemoryConnection>();
  #accept: ((connection: Connection) => void) | undefined;
  #count = 0;

  constructor(options: MemoryNetworkOptions = {}) {
    this.#options = {
      delayMs: options.delayMs ?? (() => 0),
      split: options.split ?? ((bytes) => [bytes]),
      schedule:
        options.schedule ??
        ((task, delayMs) => {
          if (delayMs === 0) setImmediate(task);
          else setTimeout(task, delayMs);
        }),
      damage: options.damage ?? {},
    };
  }

  /** Connections that are open, on the client's side. */
  get connections(): readonly MemoryConnection[] {
    return [...this.#pairs];
  }

  listen(): Listener {
    return {
      address: { address: 'memory', port: 1 },
      transport: 'memory',
      onConnection: (handler) => {
        this.#accept = handler;
      },
      close: async () => {
        this.#accept = undefined;
      },
    };
  }

  /** Rejects with DST_E_UNREACHABLE while nobody listens, and with DST_E_ABORTED. */
  async dial({ signal }: DialLimits = {}): Promise<MemoryConnection> {
    throwIfAborted(signal);
    const accept = this.#accept;
    if (accept === undefined) {
      throw new DstError('DST_E_UNREACHABLE', 'nobody listens on the in-memory network');
    }
    const address = { address: 'memory', port: ++this.#count };
    const client = new MemoryConnection(this.#options, address, 'client');
    const server = new MemoryConnection(this.#options, address, 'export');
    client.join(server);
    server.join(client);
    this.#pairs.add(client);
    client.onClose(() => this.#pairs.delete(client));
    accept(server);
    return client;
  }

  /** Every connection is lost, with all that is on its way, as when a link is cut. */
  cut(): void {
    for (const connection of this.#pairs) connection.cut();
  }
}

/** One end of an in-memory connection. */
export class MemoryConnection implements Connection {
  readonly transport = 'memory';
  readonly peer: PeerAddress;
  readonly #end: Sender;
  readonly #options: Required<MemoryNetworkOptions>;
  readonly #streams = new Map<number, MemoryStream>();
  #other: MemoryConnection | undefined;
  #streamHandler: ((stream: Stream) => void) | undefined;
  #closeHandlers: ((reason: CloseReason) => void)[] = [];
  #closed: CloseReason | undefined;
  #nextStream = 0;

  constructor(options: Required<MemoryNetworkOptions>, peer: PeerAddress, end: Sender) {
    this.#options = options;
    this.peer = peer;
    this.#end = end;
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  join(other: MemoryConnection): void {
    this.#other = other;
  }

  openStream(): Stream {
    if (this.closed) throw new DstError('DST_E_CONNECTION_LOST', 'the connection is closed');
    return this.#stream(this.#nextStream++);
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
    this.#terminate({ message });
    this.#options.schedule(() => this.#other?.cut(message), this.#options.delayMs());
  }

  /** Ends both sides at once; what is on its way never arrives. */
  cut(message = 'the connection was cut'): void {
    this.#terminate({ message });
    const other = this.#other;
    if (other !== undefined && !other.closed) other.cut(message);
  }

  keepAlive(): void {}

  /** Bytes for the other side's stream of the same number, in order and after a delay. */
  carry(stream: MemoryStream, pieces: readonly Buffer[], taken: (() => void) | undefined): void {
    const sent = Buffer.concat(pieces as Buffer[]);
    const { damage } = this.#options;
    const bytes = damage.onTheWay?.(sent, this.#end) ?? sent;
    const other = this.#other;
    for (const piece of this.#options.split(bytes)) {
      stream.enqueue((done) => {
        this.#options.schedule(() => {
          if (!this.closed && other !== undefined && !other.closed) {
            other.#arrive(stream.id, piece);
            damage.afterReceipt?.(piece, this.#end);
          }
          done();
        }, this.#options.delayMs());
      });
    }
    if (taken !== undefined) this.#options.schedule(taken, 0);
  }

  #arrive(id: number, bytes: Buffer): void {
    let stream = this.#streams.get(id);
    if (stream === undefined) {
      stream = this.#stream(id);
      this.#streamHandler?.(stream);
    }
    stream.deliver(bytes);
  }

  #stream(id: number): MemoryStream {
    const stream = new MemoryStream(id, this);
    this.#streams.set(id, stream);
    return stream;
  }

  #terminate(reason: CloseReason): void {
    if (this.closed) return;
    this.#closed = reason;
    this.#streams.clear();
    for (const handler of this.#closeHandlers) handler(reason);
    this.#closeHandlers = [];
  }
}

class MemoryStream implements Stream {
  readonly id: number;
  readonly #connection: MemoryConnection;
  readonly #waiting: ((done: () => void) => void)[] = [];
  readonly #early: Buffer[] = [];
  #sending = false;
  #handler: ((chunk: Buffer) => void) | undefined;

  constructor(id: number, connection: MemoryConnection) {
    this.id = id;
    this.#connection = connection;
  }

  get queuedBytes(): number {
    return 0;
  }

  write(pieces: readonly Buffer[], taken?: () => void): void {
    this.#connection.carry(this, pieces, taken);
  }

  onData(handler: (chunk: Buffer) => void): void {
    this.#handler = handler;
    for (const chunk of this.#early.splice(0)) handler(chunk);
  }

  deliver(bytes: Buffer): void {
    if (this.#handler === undefined) this.#early.push(bytes);
    else this.#handler(bytes);
  }

  /** Sends go one after the other, so that random delays never reorder a stream. */
  enqueue(send: (done: () => void) => void): void {
    this.#waiting.push(send);
    if (!this.#sending) this.#next();
  }

  #next(): void {
    const send = this.#waiting.shift();
    this.#sending = send !== undefined;
    send?.(() => this.#next());
  }
}
