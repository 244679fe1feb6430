import { Command, type ErrorOptions, type Option, type ParseOptionsResult } from 'commander';
import { configError, readConfigFile } from './config-file.js';
import {
  configOptionOf,
  type Setting,
  settingFor,
  settingsOf,
  settingValue,
} from './config-schema.js';

const HELP_FLAGS = ['-h', '--help'];

/** What commander says of what is given neither on the command line nor in the file. */
const MISSING = new Set(['commander.missingArgument', 'commander.missingMandatoryOptionValue']);

/** An option that the file sets. */
interface Sets {
  readonly option: Option;
  readonly key: string;
  readonly line: number;
}

/**
 * A command that takes from a configuration file what the command line leaves open. What the
 * file says is there before commander looks for options that are missing or in conflict, so
 * that its rules are one and the same for both.
 */
export class ConfigurableCommand extends Command {
  override createCommand(name?: string): Command {
    return new ConfigurableCommand(name);
  }

  /** Throws what commander does, and DST_E_CONFIG. */
  override parseOptions(args: string[]): ParseOptionsResult {
    const typed = super.parseOptions(args);
    const path = this.#configPath();
    if (path === undefined || typed.unknown.some((word) => HELP_FLAGS.includes(word))) return typed;
    const fromFile = this.#settle(path);
    return this.#hasOperands(args, typed) ? typed : { ...typed, operands: fromFile };
  }

  /** Throws a CommanderError, and names the file where what is missing might stand there. */
  override error(message: string, options?: ErrorOptions): never {
    const path = MISSING.has(options?.code ?? '') ? this.#configPath() : undefined;
    return super.error(
      path === undefined ? message : `${message}; it is not in ${path} either`,
      options,
    );
  }

  #configPath(): string | undefined {
    const option = configOptionOf(this);
    return option && (this.getOptionValue(option.attributeName()) as string | undefined);
  }

  /** Sets what the file sets, and returns what it gives for arguments. */
  #settle(path: string): string[] {
    const settings = settingsOf(this);
    const typed = typedOptions([...settings.values()]);
    const sets: Sets[] = [];
    let operands: string[] = [];
    for (const entry of readConfigFile(path)) {
      const setting = settingFor(entry, settings, path, this.name());
      const value = settingValue(setting, entry, path);
      const { option, command } = setting;
      if (option === undefined) operands = (value as string[] | undefined) ?? [];
      else if (value !== undefined && !typed.some((other) => overrides(other, option))) {
        const stored = option.negate ? false : value;
        command?.setOptionValueWithSource(option.attributeName(), stored, 'config');
        sets.push({ option, key: entry.key, line: entry.line });
      }
    }
    refuseConflicts(sets, path);
    return operands;
  }

  /**
   * Whether arguments were typed: here, or before the first option, where commander took them
   * together with this command's name.
   */
  #hasOperands(args: readonly string[], typed: ParseOptionsResult): boolean {
    const before = (this.parent?.args.length ?? 0) - args.length - 1;
    return before + typed.operands.length > 0;
  }
}

function typedOptions(settings: readonly Setting[]): Option[] {
  return settings.flatMap(({ option, command }) =>
    option !== undefined && command?.getOptionValueSource(option.attributeName()) === 'cli'
      ? [option]
      : [],
  );
}

/** What is typed replaces the same option of the file, and those that it cannot be used with. */
function overrides(typed: Option, other: Option): boolean {
  return typed.attributeName() === other.attributeName() || exclude(typed, other);
}

/** Commander would find these as well, and not tell where they stand. */
function refuseConflicts(sets: readonly Sets[], path: string): void {
  for (const [i, { option, key, line }] of sets.entries()) {
    const other = sets.slice(0, i).find((earlier) => exclude(earlier.option, option));
    if (other === undefined) continue;
    throw configError(
      path,
      line,
      `"${key}" cannot be used with "${other.key}" (line ${other.line})`,
    );
  }
}

function exclude(one: Option, other: Option): boolean {
  return (
    conflictsOf(one).includes(other.attributeName()) ||
    conflictsOf(other).includes(one.attributeName())
  );
}

/** Commander keeps these on the option, and has no function that tells them. */
function conflictsOf(option: Option): readonly string[] {
  return (option as Option & { readonly conflictsWith: readonly string[] }).conflictsWith;
}
