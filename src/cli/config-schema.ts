import { dirname, resolve } from 'node:path';
import { type Argument, Command, CommanderError, type Option } from 'commander';
import { DstError } from '../errors.js';
import { type ConfigEntry, type ConfigValue, configError } from './config-file.js';
import { UsageError } from './exit.js';
import { ConfigOption, isRepeatable, namesFile } from './options.js';

/** What a configuration file may set: an option of a command, or what its argument says. */
export interface Setting {
  readonly key: string;
  /** A switch is true or false; a list may be one value, too. */
  readonly shape: 'switch' | 'value' | 'list';
  /** The option, and the command that has it: this one, or the program. */
  readonly option?: Option;
  readonly command?: Command;
  /** What the command line would give for what the file says. */
  parse(text: string, previous: unknown, folder: string): unknown;
}

/**
 * The settings of a command, by key: its options by their long names, the program's, and its
 * argument. One that names a file is relative to `folder`.
 */
export function settingsOf(command: Command): Map<string, Setting> {
  const settings: Setting[] = [];
  for (const owner of withAncestors(command)) {
    for (const option of owner.options) {
      if (inFile(option)) settings.push(optionSetting(option, owner));
    }
  }
  const config = configOptionOf(command);
  for (const argument of command.registeredArguments) {
    settings.push(argumentSetting(argument, config?.resolveArgument));
  }
  return new Map(settings.map((setting) => [setting.key, setting]));
}

/** The option that names the file, where a command has one. */
export function configOptionOf({ options }: Command): ConfigOption | undefined {
  return options.find((option) => option instanceof ConfigOption);
}

/** The setting that an entry is for. Throws DST_E_CONFIG for a key that is none. */
export function settingFor(
  { key, line }: ConfigEntry,
  settings: ReadonlyMap<string, Setting>,
  path: string,
  command: string,
): Setting {
  const setting = settings.get(key);
  if (setting !== undefined) return setting;
  const near = nearest(key, [...settings.keys()]);
  throw configError(
    path,
    line,
    `"${key}" is no setting of dst-quic ${command}: ${near === undefined ? `dst-quic ${command} --help lists them` : `did you mean "${near}"?`}`,
  );
}

/**
 * What the command line would give for an entry; undefined for a switch that is off, and for an
 * empty list. Throws DST_E_CONFIG, with the line of the value that will not do.
 */
export function settingValue(setting: Setting, entry: ConfigEntry, path: string): unknown {
  const { key, isList, values, line } = entry;
  if (setting.shape === 'switch') return switchValue(entry, path);
  if (setting.shape === 'value' && isList) {
    throw configError(path, line, `"${key}" takes one value, and not a list`);
  }
  const folder = dirname(resolve(path));
  let parsed: unknown;
  for (const value of values) {
    checkKind(setting, value, path);
    parsed = explained(path, key, value, () => setting.parse(value.text, parsed, folder));
  }
  return parsed;
}

function switchValue({ key, line, isList, values }: ConfigEntry, path: string): true | undefined {
  const [value] = values;
  if (isList || value?.kind !== 'boolean') {
    throw configError(path, value?.line ?? line, `"${key}" is a switch: write true or false`);
  }
  return value.text.toLowerCase() === 'true' ? true : undefined;
}

function checkKind({ key }: Setting, { kind, text, line }: ConfigValue, path: string): void {
  if (kind === 'nothing') {
    throw configError(path, line, `"${key}" has no value: give one, or leave the line out`);
  }
  if (kind === 'boolean') {
    throw configError(
      path,
      line,
      `"${key}" takes a value, and not ${text}: put it in quotes if you mean the word`,
    );
  }
}

/** Runs a parser of the command line; what it says of a value is told with the line. */
function explained<T>(path: string, key: string, { text, line }: ConfigValue, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof DstError) throw configError(path, line, error.message);
    if (!(error instanceof CommanderError)) throw error;
    const why = error.message.replace(/\.$/, '');
    throw configError(path, line, `"${key}" cannot be "${text}": ${why}`);
  }
}

function withAncestors(command: Command): Command[] {
  return command.parent === null ? [command] : [command, ...withAncestors(command.parent)];
}

/** What ends the process, and the name of the file itself, say nothing in a file. */
function inFile(option: Option): boolean {
  const name = option.name();
  return !(option instanceof ConfigOption) && name !== 'help' && name !== 'version';
}

function optionSetting(option: Option, command: Command): Setting {
  const takesValue = option.required || option.optional;
  return {
    key: option.name(),
    shape: !takesValue ? 'switch' : isRepeatable(option) ? 'list' : 'value',
    option,
    command,
    parse: (text, previous, folder) => {
      const typed = namesFile(option) ? resolvePath(option.name(), folder, text) : text;
      return option.parseArg === undefined ? typed : option.parseArg(typed, previous);
    },
  };
}

function resolvePath(key: string, folder: string, text: string): string {
  if (text === '') throw new UsageError(`"${key}" is empty: name a file, or leave the line out`);
  return resolve(folder, text);
}

/** What an argument is called in a file: several stores are `stores`. */
export function keyOfArgument(argument: Argument): string {
  return argument.variadic ? `${argument.name()}s` : argument.name();
}

function argumentSetting(
  argument: Argument,
  resolveArgument: ConfigOption['resolveArgument'],
): Setting {
  return {
    key: keyOfArgument(argument),
    shape: argument.variadic ? 'list' : 'value',
    parse: (text, previous, folder) => {
      const typed = resolveArgument?.(folder, text) ?? text;
      return [...((previous as string[] | undefined) ?? []), typed];
    },
  };
}

/** A key that begins like this one, as "secret-file" does; else what commander would suggest. */
function nearest(key: string, known: readonly string[]): string | undefined {
  const longer = known.find((name) => name.startsWith(`${key}-`));
  if (longer !== undefined) return longer;
  const scratch = new Command()
    .helpOption(false)
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  for (const name of known) scratch.option(`--${name} <value>`);
  try {
    scratch.parse([`--${key}`], { from: 'user' });
  } catch (error) {
    const suggested = /Did you mean (?:one of )?--(?<name>[a-z-]+)/.exec(String(error));
    return suggested?.groups?.name;
  }
  return undefined;
}
