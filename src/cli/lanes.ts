import type { Command } from 'commander';
import { parseLanes } from './lanes-option.js';

export function addLanesCommand(program: Command): void {
  program
    .command('lanes')
    .description('Change how many connections a client has side by side, while it runs.')
    .argument('<what>', "/dev/nbd0, the export's name, or the URI that connect printed")
    .argument('<n|auto>', 'how many, as for "connect --lanes"')
    .addHelpText('after', EXAMPLES)
    .action(async (what: string, text: string) => {
      const choice = parseLanes('the number of lanes', text);
      const { runLanes } = await import('./run-lanes.js');
      await runLanes(what, choice);
    });
}

const EXAMPLES = `
Examples:
  $ dst-quic lanes root 4
  $ dst-quic lanes /dev/nbd0 auto

It returns at once: lanes are made and given up in the background, "dst-quic status" shows how many
there are of those that are wanted, and I/O goes on meanwhile. The export may allow fewer
("export --lanes"). Lanes pay on paths that lose packets, and on long ones: each has a congestion
window of its own.`;
