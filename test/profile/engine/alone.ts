/** How many requests the QUIC engine carries by itself, and at what cost. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { dialQuic } from '../../../src/transport/quic/dial.js';
import type { Connection, Stream } from '../../../src/transport/transport.js';
import { loadServerTrust } from '../../../src/trust/server-trust.js';
import { folderWithCertificates, type Running, startProgram } from '../../cli/command.js';
import type { Cleanup } from '../../support/cleanup.js';
import { readyUri } from '../../support/end-to-end.js';
import { processorTimeUs } from '../pair.js';

export interface Pace {
  readonly requestsPerSecond: number;
  /** Of both ends together. */
  readonly processorUsPerRequest: number;
}

/** Whether each request has a stream to itself, or those of one turn share one. */
export type Streams = 'one each' | 'one a turn';

const SERVER = fileURLToPath(new URL('./echo-server.js', import.meta.url));
const REPLY_BYTES = 16;

/** A batch is one call to the engine, which gathers so much. */
const BATCH_BYTES_MAX = 64 * 1024;

const WARM_UP_MS = 500;

/** A server in a process of its own, and this process connected to it. */
export class EngineAlone {
  readonly #server: Running;
  readonly #connection: Connection;
  readonly #requestBytes: number;

  private constructor(server: Running, connection: Connection, requestBytes: number) {
    this.#server = server;
    this.#connection = connection;
    this.#requestBytes = requestBytes;
  }

  static async start(t: Cleanup, requestBytes: number): Promise<EngineAlone> {
    const folder = await folderWithCertificates(t);
    const words = [SERVER, folder, `${requestBytes}`, `${REPLY_BYTES}`];
    const server = startProgram(t, process.execPath, words);
    const connection = await dialQuic({
      host: '127.0.0.1',
      port: Number(await readyUri(server)),
      trust: loadServerTrust(join(folder, 'certs/ca.pem')),
    });
    return new EngineAlone(server, connection, requestBytes);
  }

  /** Keeps so many requests in flight for so long. */
  async run(depth: number, streams: Streams, milliseconds: number): Promise<Pace> {
    const sender = new Sender(this.#connection, this.#requestBytes, streams);
    sender.send(depth);
    await sleep(WARM_UP_MS);
    const startMs = performance.now();
    const before = { count: sender.answered, usedUs: this.#usedUs() };
    await sleep(milliseconds);
    const tookSeconds = (performance.now() - startMs) / 1000;
    const count = sender.answered - before.count;
    const usedUs = this.#usedUs() - before.usedUs;
    await sender.stop();
    return { requestsPerSecond: count / tookSeconds, processorUsPerRequest: usedUs / count };
  }

  async stop(): Promise<void> {
    this.#connection.close('measured');
    await this.#server.stop();
  }

  #usedUs(): number {
    const { user, system } = process.cpuUsage();
    return user + system + processorTimeUs(this.#server);
  }
}

interface Lane {
  readonly stream: Stream;
  inFlight: number;
}

/** Sends a request for each reply, until it is stopped. */
class Sender {
  answered = 0;
  readonly #connection: Connection;
  readonly #batch: Buffer;
  readonly #requestBytes: number;
  readonly #batchMax: number;
  readonly #idle: Lane[] = [];
  #ready = 0;
  #inFlight = 0;
  #scheduled = false;
  #stopped: (() => void) | undefined;

  constructor(connection: Connection, requestBytes: number, streams: Streams) {
    this.#connection = connection;
    this.#requestBytes = requestBytes;
    const fitting = Math.max(1, Math.floor(BATCH_BYTES_MAX / requestBytes));
    this.#batchMax = streams === 'one each' ? 1 : fitting;
    this.#batch = Buffer.alloc(this.#batchMax * requestBytes);
  }

  send(count: number): void {
    this.#ready += count;
    if (this.#scheduled || this.#ready === 0) return;
    this.#scheduled = true;
    setImmediate(() => this.#endTurn());
  }

  /** Resolves when all is answered. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#stopped = resolve;
    });
  }

  #endTurn(): void {
    this.#scheduled = false;
    while (this.#ready > 0) {
      const count = Math.min(this.#ready, this.#batchMax);
      const lane = this.#idle.pop() ?? this.#open();
      this.#ready -= count;
      this.#inFlight += count;
      lane.inFlight = count;
      lane.stream.write([this.#batch.subarray(0, count * this.#requestBytes)]);
    }
  }

  #open(): Lane {
    const lane: Lane = { stream: this.#connection.openStream(), inFlight: 0 };
    let bytes = 0;
    lane.stream.onData((chunk) => {
      bytes += chunk.length;
      const count = Math.floor(bytes / REPLY_BYTES);
      bytes -= count * REPLY_BYTES;
      lane.inFlight -= count;
      if (lane.inFlight === 0) this.#idle.push(lane);
      this.#onAnswers(count);
    });
    return lane;
  }

  #onAnswers(count: number): void {
    this.answered += count;
    this.#inFlight -= count;
    if (this.#stopped === undefined) this.send(count);
    else if (this.#inFlight === 0) this.#stopped();
  }
}
