/** What the variables of `make bench` say. */
import { ALL_CELLS } from './cells.js';
import { CONTENDER_NAMES, type ContenderName } from './contenders.js';

export const PART_NAMES = ['loopback', 'checksums', 'mtu', 'memory', 'wide-area'] as const;

export type PartName = (typeof PART_NAMES)[number];

/** All but the one that takes as long as the others together. */
const USUAL_PARTS: readonly PartName[] = PART_NAMES.filter((name) => name !== 'wide-area');

/** Of a quick run. */
const QUICK_CONTENDERS: readonly ContenderName[] = ['nbd-tls', 'nbd-plain', 'quic'];

export interface Settings {
  readonly quick: boolean;
  readonly parts: readonly PartName[];
  /** Undefined where each part is to take its own. */
  readonly rounds: number | undefined;
  /** Only cells whose name contains it. */
  readonly cell: string;
  readonly contenders: readonly ContenderName[];
  /** More words for our own commands. */
  readonly connectOptions: readonly string[];
  readonly exportOptions: readonly string[];
}

/**
 * Reads QUICK, PARTS, ROUNDS, CELL, CONTENDERS, BENCH_CONNECT_OPTIONS and BENCH_EXPORT_OPTIONS;
 * lists are separated by commas, options by spaces. Throws a sentence where one makes no sense.
 */
export function parseSettings(env: NodeJS.ProcessEnv): Settings {
  const quick = env.QUICK === '1';
  return {
    quick,
    parts: parseNames('PARTS', env.PARTS, PART_NAMES) ?? USUAL_PARTS,
    rounds: parseRounds(env.ROUNDS),
    cell: parseCell(env.CELL ?? ''),
    contenders:
      parseNames('CONTENDERS', env.CONTENDERS, CONTENDER_NAMES) ??
      (quick ? QUICK_CONTENDERS : CONTENDER_NAMES),
    connectOptions: words(env.BENCH_CONNECT_OPTIONS),
    exportOptions: words(env.BENCH_EXPORT_OPTIONS),
  };
}

/** In the order in which they are known, however they were given. */
function parseNames<T extends string>(
  variable: string,
  text: string | undefined,
  known: readonly T[],
): T[] | undefined {
  if (text === undefined || text === '') return undefined;
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !known.some((each) => each === name));
  if (unknown !== undefined) {
    throw new Error(`${variable}: there is no "${unknown}" among ${known.join(', ')}`);
  }
  return known.filter((name) => names.includes(name));
}

function parseRounds(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new Error(`ROUNDS: "${text}" is not a number of rounds, as 5`);
  }
  return rounds;
}

/** Returns the text, which is part of some cell's name. */
function parseCell(text: string): string {
  const names = ALL_CELLS.map(({ name }) => name);
  if (names.some((name) => name.includes(text))) return text;
  throw new Error(`CELL: no cell has "${text}" in its name; there are ${names.join('; ')}`);
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(/\s+/).filter((word) => word !== '');
}
