import type { Command } from 'commander';
import { formatSize } from '../block/size.js';
import { createLogger } from '../ops/logger.js';
import type { ExportDescription } from '../protocol/messages.js';
import {
  type ClientIdentityOptions,
  clientIdentity,
  clientIdentityOptions,
} from './client-identity-option.js';
import { ADDRESS_HELP, type LogOptions, parseExport, trustOption } from './options.js';
import { printJson, printTable } from './output.js';
import { readSecret, type SecretOptions, secretOption } from './secret-option.js';

interface ListOptions extends SecretOptions, ClientIdentityOptions, LogOptions {
  readonly cert: string;
  readonly json?: boolean;
}

export function addListCommand(program: Command): void {
  const command = program
    .command('list')
    .description('Show what an export offers.')
    .argument('<address>', `HOST[:PORT]; ${ADDRESS_HELP}`)
    .addOption(trustOption())
    .addOption(secretOption())
    .option('--json', 'print JSON, with sizes in bytes');
  for (const option of clientIdentityOptions()) command.addOption(option);
  command
    .addHelpText('after', '\nExample:\n  $ dst-quic list storage.example --cert ca.pem')
    .action(async (address: string, _options: unknown, called: Command) => {
      const options = called.optsWithGlobals<ListOptions>();
      const place = parseExport(address);
      const { listExports } = await import('../client/queries.js');
      const { askExport } = await import('./dialer.js');
      const secret = await readSecret(options);
      const identity = clientIdentity(options);
      const log = await createLogger({ level: options.logLevel, format: options.logFormat });
      const { answer: exports } = await askExport(
        { place, certificatePath: options.cert, identity, log },
        (dial) => listExports(dial, secret),
      );
      if (options.json) printJson({ exports });
      else printTable([['NAME', 'SIZE', 'ACCESS'], ...exports.map(row)]);
    });
}

function row(each: ExportDescription): string[] {
  return [each.name, formatSize(each.sizeBytes), each.readOnly ? 'read-only' : 'read-write'];
}
