import type { Command } from 'commander';
import { formatSize } from '../block/size.js';
import type { ExportInfo } from '../client/queries.js';
import { parseStore, trustOption } from './options.js';
import { printJson, printTable } from './output.js';

interface InfoOptions {
  readonly cert: string;
  readonly json?: boolean;
}

export function addInfoCommand(program: Command): void {
  program
    .command('info')
    .description(
      'Show the size, block sizes, permissions, capabilities and round-trip time of one export.',
    )
    .argument('<address>', '[quic://]HOST[:PORT]/NAME; the port is 4433 unless given')
    .addOption(trustOption())
    .option('--json', 'print JSON, with sizes in bytes and times in milliseconds')
    .addHelpText('after', '\nExample:\n  $ dst-quic info storage.example/root --cert ca.pem --json')
    .action(async (address: string, options: InfoOptions) => {
      const { exportName, ...where } = parseStore(address);
      const { exportInfo } = await import('../client/queries.js');
      const { dialer } = await import('./dialer.js');
      const info = await exportInfo(dialer(where, options.cert), exportName);
      if (options.json) printJson(flatten(info));
      else printTable(rows(info));
    });
}

/** The shape of `--json`: scripts rely on its names. */
function flatten({ export: description, roundTripMs, ...rest }: ExportInfo) {
  return { ...description, ...rest, roundTripMs: Number(roundTripMs.toFixed(3)) };
}

function rows(info: ExportInfo): string[][] {
  const { name, sizeBytes, minimumBlockBytes, preferredBlockBytes, readOnly, capabilities } =
    info.export;
  return [
    ['name', name],
    ['size', `${formatSize(sizeBytes)} (${sizeBytes} bytes)`],
    ['minimum block', formatSize(minimumBlockBytes)],
    ['preferred block', formatSize(preferredBlockBytes)],
    ['access', readOnly ? 'read-only' : 'read-write'],
    ['capabilities', capabilities.join(', ')],
    ['checksum', `${info.checksum} (of ${info.checksums.join(', ')})`],
    ['transport', info.transport],
    ['round trip', `${info.roundTripMs.toFixed(2)} ms`],
    ['software', info.agent],
  ];
}
