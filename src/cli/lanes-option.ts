import { Option } from 'commander';
import type { LanesChoice } from '../client/lane-keeper.js';
import { LANES_MAX } from '../limits.js';
import { UsageError } from './exit.js';

/** Connections that a client has side by side. */
export interface LanesOptions {
  readonly lanes: LanesChoice;
}

/** Of `connect`. */
export function lanesOption(): Option {
  return new Option(
    '--lanes <n|auto>',
    'connections side by side, as far as the export allows them; "dst-quic lanes" changes it',
  )
    .argParser((text) => parseLanes('--lanes', text))
    .default('auto');
}

/** Of `export`. */
export function lanesLimitOption(): Option {
  return new Option(
    '--lanes <n|auto>',
    'connections that one client may have side by side, auto for as many as it likes; "dst-quic lanes --export" changes it',
  )
    .argParser((text) => parseLanesLimit('--lanes', text))
    .default(LANES_MAX);
}

/** `name` is what was typed, for the error. */
export function parseLanes(name: string, text: string): LanesChoice {
  if (text === 'auto') return text;
  return parseCount(name, text);
}

/** The same for an export, where "auto" leaves it to the clients. */
export function parseLanesLimit(name: string, text: string): number {
  return text === 'auto' ? LANES_MAX : parseCount(name, text);
}

function parseCount(name: string, text: string): number {
  const lanes = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (lanes >= 1 && lanes <= LANES_MAX) return lanes;
  throw new UsageError(
    `${name} "${text}" will not do: give a number from 1 to ${LANES_MAX}, or auto`,
  );
}
