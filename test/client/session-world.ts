import { randomBytes } from 'node:crypto';
import type { BlockDevice } from '../../src/block/device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import type { DialRequest } from '../../src/client/dial.js';
import { RemoteDevice } from '../../src/client/remote-device.js';
import type { SessionOptions } from '../../src/client/session-options.js';
import { DstError } from '../../src/errors.js';
import { ExportServer } from '../../src/export/server.js';
import { type Log, silentLog } from '../../src/log.js';
import { MemoryNetwork, type MemoryNetworkOptions } from '../../src/transport/memory.js';
import type { Connection } from '../../src/transport/transport.js';
import { FaultyDevice } from '../support/faulty-device.js';
import { Valve } from '../support/valve.js';
import { comes, ends, pass, VirtualClock } from '../support/virtual-time.js';
import { MIB } from './support.js';

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly text: string;
}

/** A session and a real export in virtual time, on a network that a test holds in its hands. */
export class SessionWorld {
  readonly clock = new VirtualClock();
  readonly network: MemoryNetwork;
  readonly lines: LogLine[] = [];
  /** Every connection that was made, the oldest first. */
  readonly connections: Valve[] = [];
  readonly requests: DialRequest[] = [];
  /** What becomes of attempts to connect. */
  dials: 'succeed' | 'fail' | 'are refused' | 'hang' = 'succeed';
  device = new FaultyDevice(new MemoryDevice(MIB));
  server: ExportServer;

  constructor(network: MemoryNetworkOptions = {}) {
    this.network = new MemoryNetwork({
      schedule: (task, afterMs) => this.clock.after(afterMs, task),
      delayMs: () => 1,
      ...network,
    });
    this.server = this.#serve();
  }

  /** Connects to "vol", without checksums. */
  connect(options: Partial<SessionOptions> = {}): Promise<RemoteDevice> {
    return this.ends(this.connecting(options), 'the connection');
  }

  /** The same, for a test that lets time pass itself. */
  connecting(options: Partial<SessionOptions> = {}): Promise<RemoteDevice> {
    return RemoteDevice.connect({
      dial: (request) => this.dial(request),
      exportName: 'vol',
      checksums: ['none'],
      readOnly: false,
      log: this.#log(),
      clock: this.clock,
      random: () => 0.5,
      ...options,
    });
  }

  async dial(request: DialRequest): Promise<Connection> {
    this.requests.push(request);
    if (this.dials === 'fail') throw new DstError('DST_E_UNREACHABLE', 'nobody is there');
    if (this.dials === 'are refused') throw new DstError('DST_E_REFUSED', 'nobody listens');
    if (this.dials === 'hang') await this.#hang(request);
    const connection = new Valve(await this.network.dial(request));
    this.connections.push(connection);
    return connection;
  }

  /** The export is another process, which the client learns by the loss of its connection. */
  restart(device: BlockDevice = this.device): void {
    this.server = this.#serve(device);
    this.network.cut();
  }

  /** As `restart`, and what the device held is gone with the machine's cache. */
  reboot(): void {
    this.device = new FaultyDevice(new MemoryDevice(MIB), { verifier: randomBytes(16) });
    this.restart();
  }

  /** The newest connection. */
  get connection(): Valve {
    const connection = this.connections.at(-1);
    if (connection === undefined) throw new Error('no connection was made');
    return connection;
  }

  pass(durationMs: number): Promise<void> {
    return pass(this.clock, durationMs);
  }

  comes(condition: () => boolean, what: string, limitMs?: number): Promise<void> {
    return comes(this.clock, condition, what, limitMs);
  }

  ends<T>(promise: Promise<T>, what: string, limitMs?: number): Promise<T> {
    return ends(this.clock, promise, what, limitMs);
  }

  /** The log's lines, as far as they say this. */
  said(text: RegExp): readonly LogLine[] {
    return this.lines.filter((line) => text.test(line.text));
  }

  #serve(device: BlockDevice = this.device): ExportServer {
    const server = new ExportServer({
      stores: [{ name: 'vol', device }],
      checksums: ['none'],
      log: silentLog,
      clock: this.clock,
    });
    server.attach(this.network.listen());
    return server;
  }

  #hang({ signal, timeoutMs }: DialRequest): Promise<never> {
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new DstError('DST_E_ABORTED', 'called off')));
      this.clock.after(timeoutMs, () => reject(new DstError('DST_E_TIMEOUT', 'nobody answered')));
    });
  }

  #log(): Log {
    const at = (level: LogLine['level']) => (details: unknown, text?: string) => {
      this.lines.push({ level, text: text ?? String(details) });
    };
    return { debug() {}, info: at('info'), warn: at('warn'), error: at('error') } as Log;
  }
}
