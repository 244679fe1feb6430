import { protocolError } from './header.js';

/** Reads typed fields from a decoded map, each with its bound; throws DST_E_PROTOCOL. */
export class Fields {
  constructor(
    readonly what: string,
    readonly values: Readonly<Record<string, unknown>>,
  ) {}

  has(key: string): boolean {
    return this.values[key] !== undefined && this.values[key] !== null;
  }

  integer(key: string, max: number): number {
    return this.#integer(key, this.values[key], max);
  }

  /** Each from 0 to 2^53 - 1. */
  integers(key: string, countMax: number): number[] {
    return this.#list(key, countMax).map((value) =>
      this.#integer(key, value, Number.MAX_SAFE_INTEGER),
    );
  }

  positive(key: string, max: number): number {
    const value = this.integer(key, max);
    if (value === 0) throw this.#bad(key);
    return value;
  }

  powerOfTwo(key: string, max: number): number {
    const value = this.positive(key, max);
    if (!Number.isInteger(Math.log2(value))) throw this.#bad(key);
    return value;
  }

  flag(key: string): boolean {
    const value = this.values[key];
    if (typeof value !== 'boolean') throw this.#bad(key);
    return value;
  }

  text(key: string, bytesMax: number): string {
    return this.#text(key, this.values[key], bytesMax);
  }

  texts(key: string, countMax: number, bytesMax: number): string[] {
    return this.#list(key, countMax).map((value) => this.#text(key, value, bytesMax));
  }

  oneOf<T extends string>(key: string, choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.values[key]);
    if (found === undefined) throw this.#bad(key);
    return found;
  }

  bytes(key: string, lengthBytes: number): Buffer {
    const value = this.values[key];
    if (!(value instanceof Uint8Array) || value.length !== lengthBytes) throw this.#bad(key);
    return Buffer.from(value);
  }

  map(key: string): Fields {
    return this.#map(key, this.values[key]);
  }

  maps(key: string): Fields[] {
    return this.#list(key, Number.POSITIVE_INFINITY).map((value) => this.#map(key, value));
  }

  #list(key: string, countMax: number): unknown[] {
    const value = this.values[key];
    if (!Array.isArray(value) || value.length > countMax) throw this.#bad(key);
    return value;
  }

  #map(key: string, value: unknown): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.#bad(key);
    if (value instanceof Uint8Array) throw this.#bad(key);
    return new Fields(`${this.what}.${key}`, value as Record<string, unknown>);
  }

  #integer(key: string, value: unknown, max: number): number {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
      throw this.#bad(key);
    }
    return value;
  }

  #text(key: string, value: unknown, bytesMax: number): string {
    if (typeof value !== 'string' || Buffer.byteLength(value) > bytesMax) throw this.#bad(key);
    return value;
  }

  #bad(key: string): Error {
    return protocolError(`a ${this.what} whose "${key}" is missing or out of range`);
  }
}
