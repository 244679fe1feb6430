import type { Command } from 'commander';
import { formatSize } from '../block/size.js';
import type { ExportDescription } from '../protocol/messages.js';
import { parseExport, trustOption } from './options.js';
import { printJson, printTable } from './output.js';

interface ListOptions {
  readonly cert: string;
  readonly json?: boolean;
}

export function addListCommand(program: Command): void {
  program
    .command('list')
    .description('Show what an export offers.')
    .argument('<address>', '[quic://]HOST[:PORT]; the port is 4433 unless given')
    .addOption(trustOption())
    .option('--json', 'print JSON, with sizes in bytes')
    .addHelpText('after', '\nExample:\n  $ dst-quic list storage.example --cert ca.pem')
    .action(async (address: string, options: ListOptions) => {
      const where = parseExport(address);
      const { listExports } = await import('../client/queries.js');
      const { dialer } = await import('./dialer.js');
      const exports = await listExports(dialer(where, options.cert));
      if (options.json) printJson({ exports });
      else printTable([['NAME', 'SIZE', 'ACCESS'], ...exports.map(row)]);
    });
}

function row(each: ExportDescription): string[] {
  return [each.name, formatSize(each.sizeBytes), each.readOnly ? 'read-only' : 'read-write'];
}
