import { DstError } from '../errors.js';

/** Largest first, as they are written and tried. */
const UNITS = [
  ['d', 24 * 60 * 60 * 1000],
  ['h', 60 * 60 * 1000],
  ['m', 60 * 1000],
  ['s', 1000],
  ['ms', 1],
] as const;

const UNIT_MS = new Map<string, number>(UNITS);

const DURATION = /^(?<number>\d+(?:\.\d+)?) ?(?<unit>ms|s|m|h|d)?$/;

/** What a time may be, both ends included. */
export interface DurationBounds {
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * The milliseconds that a time such as "500ms", "5s", "1.5m", "1h" or "1d" stands for, rounded
 * to whole ones. `subject` starts the sentence about one that will not do: "--lease".
 *
 * Throws DST_E_DURATION for what is no time, has no unit, or is out of bounds.
 */
export function parseDuration(subject: string, text: string, bounds: DurationBounds): number {
  const { number, unit } = DURATION.exec(text.trim())?.groups ?? {};
  if (number === undefined) {
    throw durationError(`${subject} "${text}" is not a time: write it like 500ms, 5s, 2m or 1h`);
  }
  const unitMs = unit === undefined ? undefined : UNIT_MS.get(unit);
  if (unitMs === undefined) {
    throw durationError(`${subject} "${text}" has no unit: write ${number}s if you mean seconds`);
  }
  const durationMs = Math.round(Number(number) * unitMs);
  const { minMs, maxMs } = bounds;
  if (durationMs >= minMs && durationMs <= maxMs) return durationMs;
  throw durationError(
    `${subject} ${text} is out of range: give from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`,
  );
}

/** A time as `parseDuration` reads it, in the largest unit that makes it whole: "90s", "2m". */
export function formatDuration(durationMs: number): string {
  for (const [unit, unitMs] of UNITS) {
    if (durationMs >= unitMs && durationMs % unitMs === 0) return `${durationMs / unitMs}${unit}`;
  }
  return `${durationMs}ms`;
}

function durationError(message: string): DstError {
  return new DstError('DST_E_DURATION', message);
}
