/**
 * Reads the data of one option. Whatever does not fit makes it `malformed`, and the reads
 * after that return nothing, so that a parser checks once, at the end.
 */
export class OptionData {
  readonly #bytes: Buffer;
  #at = 0;
  #malformed = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Something did not fit, or is left over. */
  get malformed(): boolean {
    return this.#malformed || this.#at !== this.#bytes.length;
  }

  uint16(): number {
    return this.#take(2)?.readUInt16BE(0) ?? 0;
  }

  uint32(): number {
    return this.#take(4)?.readUInt32BE(0) ?? 0;
  }

  /** A 32-bit length and that many bytes of UTF-8. */
  string(): string {
    return this.#take(this.uint32())?.toString('utf8') ?? '';
  }

  /** `count` values as `read` takes them; stops at the first that does not fit. */
  list<T>(count: number, read: () => T): T[] {
    const values: T[] = [];
    while (values.length < count && !this.#malformed) values.push(read());
    return values;
  }

  #take(lengthBytes: number): Buffer | undefined {
    if (this.#malformed || this.#at + lengthBytes > this.#bytes.length) {
      this.#malformed = true;
      return undefined;
    }
    const start = this.#at;
    this.#at += lengthBytes;
    return this.#bytes.subarray(start, this.#at);
  }
}
