import { type Command, CommanderError } from 'commander';
import { VERSION } from '../version.js';
import { addCertCommand } from './cert.js';
import { ConfigurableCommand } from './configurable-command.js';
import { addConnectCommand } from './connect.js';
import { addDisconnectCommand } from './disconnect.js';
import { describeError, EXIT, EXIT_MEANINGS, exitCodeOf, UsageError } from './exit.js';
import { addExportCommand } from './export.js';
import { addInfoCommand } from './info.js';
import { addLanesCommand } from './lanes.js';
import { addListCommand } from './list.js';
import { type LogOptions, logOptions, refuseRepeats } from './options.js';
import { handleSignals } from './shutdown.js';
import { addStatusCommand } from './status.js';

/** Runs one command to its end, and resolves with the process's exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  const program = createProgram();
  const report = (error: unknown): number => {
    const withStack = program.opts<LogOptions>().logLevel === 'debug';
    process.stderr.write(`${describeError(error, withStack)}\n`);
    return exitCodeOf(error);
  };
  handleSignals();
  // A broken invariant: what state we are in is unknown, so nothing is tidied up.
  process.on('uncaughtException', (error) => process.exit(report(error)));
  for (const stream of [process.stdout, process.stderr]) ignoreClosedPipe(stream);
  try {
    await program.parseAsync(argv);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof CommanderError)) return report(error);
    // It has printed what was asked for, or the help that stands for a missing command.
    if (error.code === 'commander.help') return EXIT.usage;
    return error.exitCode === 0 ? EXIT.ok : report(usageError(program, error, argv[2]));
  }
}

/** The whole command line; nothing is run yet. */
export function createProgram(): Command {
  const program = new ConfigurableCommand('dst-quic')
    .description('A remote file or disk as a local block device, over QUIC.')
    .version(VERSION)
    .configureHelp({ showGlobalOptions: true })
    // Inherited by the commands; what is wrong is told by `run`.
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .addHelpText('after', PROGRAM_EXAMPLE);
  for (const option of logOptions()) program.addOption(option);
  addExportCommand(program);
  addConnectCommand(program);
  addStatusCommand(program);
  addDisconnectCommand(program);
  addLanesCommand(program);
  addListCommand(program);
  addInfoCommand(program);
  addCertCommand(program);
  for (const command of [program, ...program.commands]) refuseRepeats(command);
  return program;
}

function exitCodes(): string {
  const names = Object.keys(EXIT) as (keyof typeof EXIT)[];
  return names.map((name) => `${EXIT[name]} ${EXIT_MEANINGS[name]}`).join(', ');
}

const PROGRAM_EXAMPLE = `
Example, with both ends on one machine:
  $ dst-quic cert
  $ dst-quic export disk.img --size 1G
  $ dst-quic connect 127.0.0.1/disk --cert certs/ca.pem

Exit codes: ${exitCodes()}.`;

/** Commander's "error: unknown option '--nmae'\n(Did you mean --name?)" as one of our lines. */
function usageError(program: Command, error: CommanderError, word: string | undefined): UsageError {
  const sentence = error.message
    .replace(/^error: /, '')
    .replace(/\.?\s*\n\s*/g, ' ')
    .replace(/\.$/, '');
  const command = program.commands.find((each) => each.name() === word);
  const help = command === undefined ? 'dst-quic --help' : `dst-quic ${command.name()} --help`;
  return new UsageError(`${sentence}: see ${help}`);
}

/** Whoever reads our output may stop doing so; that is no reason to stop serving. */
function ignoreClosedPipe(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}
