import { DstError } from '../errors.js';
import { CREDIT_TRANSACTIONS } from '../limits.js';

/** What one session has in flight, on all lanes of its epoch, of the credit that WELCOME gave. */
export class Credit {
  /** What the WELCOME of lane 0 gave. */
  bytesMax: number;
  #transactions = 0;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /**
   * Takes a transaction in, with so many bytes of payload, its own and its answer's. Throws
   * DST_E_LIMIT where that is more than the credit; one alone may be of any size.
   */
  reserve(payloadBytes: number): void {
    const alone = this.#transactions === 0;
    this.#transactions++;
    this.#bytes += payloadBytes;
    const tooMany = this.#transactions > CREDIT_TRANSACTIONS;
    if (tooMany || (!alone && this.#bytes > this.bytesMax)) {
      throw new DstError(
        'DST_E_LIMIT',
        `${this.#transactions} transactions with ${this.#bytes} bytes in flight are more than the credit`,
      );
    }
  }

  /** The answer to one has been taken by the transport, or will not be sent. */
  giveBack(payloadBytes: number): void {
    this.#transactions--;
    this.#bytes -= payloadBytes;
  }
}
