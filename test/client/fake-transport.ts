import type { Dial, DialRequest } from '../../src/client/dial.js';
import type { Clock } from '../../src/clock.js';
import { DstError, type DstErrorCode } from '../../src/errors.js';
import type { CloseReason, Connection, Stream } from '../../src/transport/transport.js';

/** A connection that carries nothing. */
export class FakeConnection implements Connection {
  readonly peer = { address: '192.0.2.1', port: 4433 };
  readonly transport: 'quic' | 'webtransport';
  readonly protocol?: 'http/2';
  closed = false;
  #handlers: ((reason: CloseReason) => void)[] = [];

  constructor(transport: 'quic' | 'webtransport') {
    this.transport = transport;
    if (transport === 'webtransport') this.protocol = 'http/2';
  }

  openStream(): Stream {
    throw new Error('nobody needs a stream here');
  }

  onStream(): void {}

  onClose(handler: (reason: CloseReason) => void): void {
    this.#handlers.push(handler);
  }

  close(message: string): void {
    if (this.closed) return;
    this.closed = true;
    for (const handler of this.#handlers.splice(0)) handler({ message });
  }

  keepAlive(): void {}
}

/** What becomes of a dial: a connection or a failure after a time, or no answer at all. */
export type Answer = number | 'none' | { readonly code: DstErrorCode; readonly afterMs?: number };

/** One transport to an export, as good or bad as a test has it. */
export class FakeTransport {
  answer: Answer;
  readonly requests: DialRequest[] = [];
  /** When each was made, ms. */
  readonly dialledMs: number[] = [];
  readonly connections: FakeConnection[] = [];
  readonly #name: 'quic' | 'webtransport';
  readonly #clock: Clock;

  constructor(name: 'quic' | 'webtransport', clock: Clock, answer: Answer) {
    this.#name = name;
    this.#clock = clock;
    this.answer = answer;
  }

  readonly dial: Dial = (request) => {
    this.requests.push(request);
    this.dialledMs.push(this.#clock.nowMs());
    const { answer } = this;
    return new Promise((resolve, reject) => {
      const fail = (code: DstErrorCode) => reject(new DstError(code, `${this.#name}: ${code}`));
      request.signal.addEventListener('abort', () => fail('DST_E_ABORTED'));
      if (request.signal.aborted) fail('DST_E_ABORTED');
      else if (answer === 'none' || (typeof answer === 'number' && answer > request.timeoutMs)) {
        this.#clock.after(request.timeoutMs, () => fail('DST_E_UNREACHABLE'));
      } else if (typeof answer === 'number') {
        this.#clock.after(answer, () => {
          if (request.signal.aborted) return;
          const connection = new FakeConnection(this.#name);
          this.connections.push(connection);
          resolve(connection);
        });
      } else this.#clock.after(answer.afterMs ?? 0, () => fail(answer.code));
    });
  };
}
