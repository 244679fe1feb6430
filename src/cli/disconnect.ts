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
    .option('--force', 'even while it is in use, or cannot be flushed: that I/O fails')
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

It returns when all is on the export and the client has ended. It is refused, and the client goes
on, while the device is in use or NBD clients are connected, and where the export does not confirm
a flush within 10 s. With --force it ends all the same, after 10 s at most for each step, and what
was not flushed may be lost. A client that has not reached its export yet ends at once; one that
was about to take over the device of a client that is gone, with --force only, and the device is
detached as well. Where the export has refused the client for good, that reason is the outcome.`;
