/**
 * The WebTransport library, loaded when it is first needed, and what we use of it.
 *
 * It has two layers: capsules over HTTP/2 in JavaScript, or QUIC in a binary, that call back
 * handlers; and WHATWG streams on top of those. We stand where the upper layer stands: with it,
 * a transaction of 4 KiB costs nearly twice the CPU time. So the version is pinned exactly, and
 * test/transport/webtransport-defects.test.ts notices when the shapes below change.
 */
import type { ClientHttp2Session, ServerHttp2Stream } from 'node:http2';
import { WEBTRANSPORT_LOADING_TURNS_MAX } from '../../limits.js';

/** A stream of the lower layer. */
export interface EngineStream {
  jsobj: EngineStreamHandler;
  /** Tells the peer how much it may send. */
  sendInitialParameters?(): void;
  startReading(): void;
  /** Keeps the bytes, and reads them later. They must not be empty. */
  writeChunk(bytes: Uint8Array): void;
}

export interface EngineReadBuffer {
  readonly buffer?: Buffer;
  readonly readBytes?: number;
  readonly fin: boolean;
}

/** What the lower layer calls on what stands above a stream. */
export interface EngineStreamHandler {
  /** HTTP/2 asks it whether the session is up, and has it closed when the peer sends too much. */
  readonly parentobj: EngineSession;
  getReadBuffer(wanted: { byteSize: number }): EngineReadBuffer;
  commitReadBuffer(filled: EngineReadBuffer): { stopReading?: boolean };
  onStreamWrite(event: unknown): void;
  onStreamRecvSignal(event: unknown): void;
  onStreamNetworkFinish(event: unknown): void;
}

export interface EngineStreamEvent {
  readonly stream: EngineStream;
  readonly incoming: boolean;
  readonly bidirectional: boolean;
}

export interface EngineCloseEvent {
  readonly errorcode?: number;
  readonly error?: string;
}

/** A session of the lower layer; over HTTP/2 with what carries it. */
export interface EngineTransportSession {
  jsobj: EngineSession;
  /** Whether the stream comes, now or a little later, by `onStream`. */
  orderBidiStream(options: { waitUntilAvailable: boolean }): boolean;
  readonly stream?: ServerHttp2Stream;
  readonly capsParser?: CapsuleParser;
}

/** What reads and writes the capsules of a session over HTTP/2. */
export interface CapsuleParser {
  readonly stream: { cork(): void; uncork(): void };
  /** Writes the capsules that are due. */
  drainWrites(): void;
  parseData(bytes: Buffer): void;
  /** Of a capsule that has not come whole. */
  readonly saveddata?: Buffer | undefined;
}

/** A session of the upper layer. */
export interface EngineSession {
  readonly state: 'connecting' | 'connected' | 'draining' | 'closed' | 'failed';
  readonly ready: Promise<unknown>;
  readonly closed: Promise<unknown>;
  readonly objint?: EngineTransportSession;
  readonly parentobj: unknown;
  onStream(event: EngineStreamEvent): void;
  onClose(event: EngineCloseEvent): void;
  onGoAwayReceived(event: unknown): void;
  onDatagramReceived(event: unknown): void;
  close(info: { closeCode: number; reason: string }): void;
}

/** A client's transport over HTTP/2, before it has one. */
export interface EngineHttp2Transport {
  clientInt?: ClientHttp2Session;
  readonly jsobj: {
    onClientConnected(event: { success: boolean }): void;
    onClientWebTransportSupport(event: object): void;
  };
  createTransport(): void;
}

export interface EngineClient {
  readonly args: { createReliableClient(client: unknown): EngineHttp2Transport };
  readonly transportInt?: { socket?: { jsobj?: unknown } };
  closeHookSession(): void;
}

/** The WebTransport class; `sessionint` is its session. */
export interface EngineWebTransport {
  readonly sessionint: EngineSession;
  createClient(options: object): { client: EngineClient; sessionint: EngineSession };
}

export interface EngineSessionRequest {
  readonly header: Readonly<Record<string, unknown>>;
}

export interface EngineServer {
  readonly ready: Promise<unknown>;
  readonly closed: Promise<unknown>;
  readonly transportInt: {
    /** Over HTTP/2: the server that would listen; ours hands it streams instead. */
    readonly serverInt?: NodeJS.EventEmitter;
    startServer?(): void;
  };
  createTransportInt(): Promise<void>;
  setRequestCallback(
    decide: (request: EngineSessionRequest) => Promise<{ status: number; path: string }>,
  ): void;
  onHttpWTSessionVisitor(event: {
    readonly session: EngineTransportSession;
    readonly peerAddress: string;
  }): void;
  address(): { host: string; port: number } | null;
  stopServer(): void;
}

export interface Engine {
  readonly WebTransport: new (url: string, options: object) => EngineWebTransport;
  readonly Http2Server: new (options: object) => EngineServer;
  readonly Http3Server: new (options: object) => EngineServer;
}

/** The optional package with the binary for HTTP/3. */
const HTTP3_PACKAGE: string = '@fails-components/webtransport-transport-http3-quiche';

let engine: Promise<Engine> | undefined;
let http3: Promise<boolean> | undefined;

export function loadEngine(): Promise<Engine> {
  engine ??= importEngine();
  return engine;
}

/** Whether WebTransport can run over HTTP/3 here; without its binary it runs over HTTP/2. */
export function http3Available(): Promise<boolean> {
  http3 ??= import(HTTP3_PACKAGE).then(
    () => true,
    () => false,
  );
  return http3;
}

async function importEngine(): Promise<Engine> {
  if (await http3Available()) return loadLibrary();
  const complaints = new Complaints();
  try {
    const library = await loadLibrary();
    await complaints.over();
    return library;
  } finally {
    complaints.restore();
  }
}

async function loadLibrary(): Promise<Engine> {
  return (await import('@fails-components/webtransport')) as unknown as Engine;
}

/**
 * The library prints to the console, from two modules and a little after it was imported, that
 * it lacks its optional binary (1.6.8, ENGINES W1). Keeps those lines away, and no others.
 */
class Complaints {
  readonly #log = console.log;
  readonly #error = console.error;
  #lastLines = 0;

  constructor() {
    console.log = (...words: unknown[]) => this.#filter(this.#log, words);
    console.error = (...words: unknown[]) => this.#filter(this.#error, words);
  }

  async over(): Promise<void> {
    for (let i = 0; i < WEBTRANSPORT_LOADING_TURNS_MAX && this.#lastLines < 2; i++) {
      await new Promise(setImmediate);
    }
  }

  restore(): void {
    console.log = this.#log;
    console.error = this.#error;
  }

  #filter(print: (...words: unknown[]) => void, words: unknown[]): void {
    const [first] = words;
    if (first === LAST_LINE) this.#lastLines++;
    else if (!OTHER_LINES.has(first)) print.apply(console, words);
  }
}

const LAST_LINE = 'http3 loader:';
const OTHER_LINES = new Set<unknown>([
  'Problem loading http3-quiche transport',
  `Did you install ${HTTP3_PACKAGE}?`,
]);
