import { DstError } from '../errors.js';
import { DEVICE_BYTES_MAX } from '../limits.js';

const UNITS = ['', 'K', 'M', 'G', 'T', 'P'] as const;

const SIZE = /^(?<number>\d+(?:\.\d+)?) ?(?:(?<unit>[KMGTP])(?:iB)?|B)?$/i;

/**
 * The bytes that a size such as "64M", "1.5 GiB", "512B" or "4096" stands for.
 *
 * Units are powers of 1024, in either case. "64MB" is refused, since it means 64000000 to
 * some. Throws DST_E_SIZE for what is no size, is no whole number of bytes, or is above
 * DEVICE_BYTES_MAX.
 */
export function parseSize(text: string): number {
  const { number, unit } = SIZE.exec(text.trim())?.groups ?? {};
  if (number === undefined) {
    throw new DstError('DST_E_SIZE', `"${text}" is not a size: write it like 64M, 10G or 4096`);
  }
  const exponent = UNITS.findIndex((name) => name === (unit ?? '').toUpperCase());
  const sizeBytes = Number(number) * 1024 ** exponent;
  if (!Number.isInteger(sizeBytes)) {
    throw new DstError('DST_E_SIZE', `"${text}" is not a whole number of bytes: write it in bytes`);
  }
  if (sizeBytes > DEVICE_BYTES_MAX) {
    throw new DstError(
      'DST_E_SIZE',
      `"${text}" is more than a device can hold (${DEVICE_BYTES_MAX} bytes): give a smaller size`,
    );
  }
  return sizeBytes;
}

/** A size for people: "512 B", "64 MiB", "1.5 GiB"; rounded to two decimals. */
export function formatSize(sizeBytes: number): string {
  let value = sizeBytes;
  let exponent = 0;
  while (value >= 1024 && exponent < UNITS.length - 1) {
    value /= 1024;
    exponent += 1;
  }
  const unit = UNITS[exponent];
  return `${Math.round(value * 100) / 100} ${unit ? `${unit}iB` : 'B'}`;
}
