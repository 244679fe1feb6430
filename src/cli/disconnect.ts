import type { Command } from 'commander';
import type { LogOptions } from './options.js';

interface DisconnectOptions extends LogOptions {
  readonly force?: boolean;
}

export function addDisconnectCommand(program: Command): void {
  program
    .command('disconnect')
    .description('Flush and detach what a client serves on this machine, and end the client.')
    .argument('<what>', "/dev/nbd0, the export's name, or the URI that connect printed")
    .option('--force', 'even while it is mounted or in use otherwise: that I/O fails')
    .addHelpText('after', EXAMPLES)
    .action(async (what: string, _options: unknown, called: Command) => {
      const { runDisconnect } = await import('./run-disconnect.js');
      await runDisconnect(what, called.optsWithGlobals<DisconnectOptions>().force ?? false);
    });
}

const EXAMPLES = `
Examples:
  $ dst-quic disconnect root
  $ umount /mnt && dst-quic disconnect /dev/nbd0

It returns when all is on the export, which takes as long as one that is away takes to come back.`;
