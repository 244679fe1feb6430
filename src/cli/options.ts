import { type Command, Option } from 'commander';
import { checkSize } from '../block/check-size.js';
import { parseSize } from '../block/size.js';
import {
  DEFAULT_PORT,
  type ExportAddress,
  type ExportPlace,
  type HostPort,
  parseAddress,
  parseHostPort,
} from '../client/address.js';
import type { LogFormat, LogLevel } from '../ops/logger.js';
import { type DurationBounds, parseDuration } from './duration.js';
import { parseTyped, UsageError } from './exit.js';

/** What every command takes. */
export interface LogOptions {
  readonly logLevel: LogLevel;
  readonly logFormat?: LogFormat;
}

const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];
const LOG_FORMATS: readonly LogFormat[] = ['text', 'json'];

export function logOptions(): Option[] {
  return [
    new Option('--log-level <level>', 'log what matters this much, or more')
      .choices(LOG_LEVELS)
      .default('info'),
    new Option(
      '--log-format <format>',
      'how to log to standard error (default: text on a terminal, else json)',
    ).choices(LOG_FORMATS),
  ];
}

const repeatables = new WeakSet<Option>();

/** An option that may be given several times; its values come as an array. */
export function repeatable<T>(
  flags: string,
  description: string,
  parse: (text: string) => T,
): Option {
  const option = new Option(flags, description).argParser((text, previous: T[] | undefined) => [
    ...(previous ?? []),
    parse(text),
  ]);
  repeatables.add(option);
  return option;
}

/** Whether an option was made by `repeatable`. */
export function isRepeatable(option: Option): boolean {
  return repeatables.has(option);
}

/** What stands for an option's value in the help: "file" of "--cert <file>". */
export function placeholderOf({ flags }: Option): string | undefined {
  return /[<[](?<name>[^>\]]+)[>\]]/.exec(flags)?.groups?.name;
}

/** Whether an option's value is the path of a file or folder, and nothing else. */
export function namesFile(option: Option): boolean {
  return ['file', 'path', 'dir'].includes(placeholderOf(option) ?? '');
}

/** Names the file that the command's other options may come from (configurable-command.ts). */
export class ConfigOption extends Option {
  /** Checks an argument that stands in the file, and makes its path begin at the file's folder. */
  readonly resolveArgument: ((folder: string, text: string) => string) | undefined;

  constructor(resolveArgument?: ConfigOption['resolveArgument']) {
    super(
      '--config <file>',
      'read options and arguments from this YAML file; what is given here counts instead',
    );
    this.resolveArgument = resolveArgument;
  }
}

/** Makes a command refuse its other options when given twice: one of the two was not meant. */
export function refuseRepeats(command: Command): void {
  for (const option of command.options) {
    if (repeatables.has(option)) continue;
    let given = false;
    command.on(`option:${option.name()}`, () => {
      if (given) throw new UsageError(`${option.long} is given twice: give it once`);
      given = true;
    });
  }
}

export function sizeOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) =>
    parseTyped(() => {
      const sizeBytes = parseSize(text);
      checkSize(nameOf(flags), sizeBytes);
      return sizeBytes;
    }),
  );
}

/** A time with its unit, as `parseDuration` reads it; the value is in milliseconds. */
export function durationOption(flags: string, description: string, bounds: DurationBounds): Option {
  return new Option(flags, description).argParser((text) =>
    parseTyped(() => parseDuration(nameOf(flags), text, bounds)),
  );
}

function nameOf(flags: string): string {
  return flags.split(' ')[0] ?? flags;
}

export function parseListen(text: string): HostPort {
  return parseTyped(() => parseHostPort(text));
}

export function trustOption(): Option {
  return new Option(
    '--cert <file>',
    "the export's certificate, or the CA that signed it (PEM)",
  ).makeOptionMandatory();
}

/** What every command that takes an address says of it. */
export const ADDRESS_HELP = `the port is ${DEFAULT_PORT} unless given; quic:// before it asks for QUIC, https:// for WebTransport, neither for whichever works`;

/** An address that names no store. */
export function parseExport(text: string): ExportPlace {
  const { exportName, ...place } = parseTyped(() => parseAddress(text));
  if (exportName !== undefined) {
    throw new UsageError(`"${text}" names one export of many: leave "/${exportName}" out`);
  }
  return place;
}

/** An address that names a store. */
export function parseStore(text: string): ExportAddress & { exportName: string } {
  const { exportName, ...place } = parseTyped(() => parseAddress(text));
  if (exportName === undefined) {
    throw new UsageError(
      `"${text}" lacks the export's name: write HOST:PORT/NAME ("dst-quic list" shows the names)`,
      'DST_E_ADDRESS',
    );
  }
  return { ...place, exportName };
}
