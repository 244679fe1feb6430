import { FrameDecoder } from '../../src/protocol/decoder.js';
import { isControl } from '../../src/protocol/frame.js';
import { KIND } from '../../src/protocol/kinds.js';
import {
  type Failure,
  readChallenge,
  readFailure,
  readNotice,
} from '../../src/protocol/messages.js';
import type { Connection, Stream } from '../../src/transport/transport.js';

/**
 * A peer of an export that sends whatever it likes. What the export answers must be frames all
 * the same: one that cannot be decoded throws.
 */
export class Attacker {
  readonly connection: Connection;
  readonly #streams: Stream[] = [];
  welcomed = false;
  closed = false;
  /** What the export said of itself before it closed the connection. */
  failure: Failure | undefined;
  closeMessage = '';
  replies = 0;
  /** What to send when the export asks for a proof of the secret, given its nonce. */
  proof: ((exportNonce: Buffer) => Buffer) | undefined;

  constructor(connection: Connection) {
    this.connection = connection;
    connection.onClose(({ message }) => {
      this.closed = true;
      this.closeMessage = message;
    });
  }

  /** Sends bytes on the stream of that number; the first is the control stream. */
  send(number: number, bytes: Buffer): void {
    if (this.closed) return;
    while (this.#streams.length <= number) this.#open();
    this.#streams[number]?.write([bytes]);
  }

  #open(): void {
    const stream = this.connection.openStream();
    this.#streams.push(stream);
    const decoder = new FrameDecoder(
      () => {},
      (frame) => {
        if (!isControl(frame)) {
          this.replies++;
          return;
        }
        if (frame.kind === KIND.welcome) this.welcomed = true;
        if (frame.kind === KIND.challenge && this.proof !== undefined) {
          this.send(0, this.proof(readChallenge(frame.body).nonce));
        }
        if (frame.kind === KIND.refused) this.failure = readFailure(frame.body);
        if (frame.kind !== KIND.notice) return;
        const notice = readNotice(frame.body);
        if (notice?.event === 'closing') this.failure = notice.failure;
      },
    );
    stream.onData((chunk) => decoder.push(chunk));
  }
}
