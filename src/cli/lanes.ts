import type { Command } from 'commander';
import { parseLanes, parseLanesLimit } from './lanes-option.js';
import type { LogOptions } from './options.js';

interface LanesCommandOptions extends LogOptions {
  readonly export?: boolean;
}

/** For errors. */
const COUNT = 'the number of lanes';

export function addLanesCommand(program: Command): void {
  program
    .command('lanes')
    .description('Change how many connections a client has side by side, while it runs.')
    .argument('<what>', "/dev/nbd0, the export's name, or the URI that connect printed")
    .argument('<n|auto>', 'how many, as for "connect --lanes"')
    .option('--export', 'of an export here, by a name that it offers: what each client may have')
    .addHelpText('after', EXAMPLES)
    .action(async (what: string, text: string, _options: unknown, called: Command) => {
      const ofExport = called.optsWithGlobals<LanesCommandOptions>().export ?? false;
      const count = ofExport ? parseLanesLimit(COUNT, text) : parseLanes(COUNT, text);
      const { runLanes, runLanesOfExport } = await import('./run-lanes.js');
      if (ofExport && count !== 'auto') await runLanesOfExport(what, count);
      else await runLanes(what, count);
    });
}

const EXAMPLES = `
Examples:
  $ dst-quic lanes root 4
  $ dst-quic lanes /dev/nbd0 auto
  $ dst-quic lanes root 2 --export

It returns at once: lanes are made and given up in the background, "dst-quic status" shows how many
there are of those that are wanted, and I/O goes on meanwhile. The export may allow fewer
("export --lanes", or --export here while it runs: its clients are told, and follow). Lanes pay on
paths that lose packets, and on long ones: each has a congestion window of its own.`;
