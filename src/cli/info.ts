import type { Command } from 'commander';
import { formatSize } from '../block/size.js';
import type { ExportInfo } from '../client/queries.js';
import { describeRoute, type Route, routeFields } from '../client/route/route.js';
import { createLogger } from '../ops/logger.js';
import {
  type ClientIdentityOptions,
  clientIdentity,
  clientIdentityOptions,
} from './client-identity-option.js';
import { ADDRESS_HELP, type LogOptions, parseStore, trustOption } from './options.js';
import { printJson, printTable } from './output.js';
import { readSecret, type SecretOptions, secretOption } from './secret-option.js';

interface InfoOptions extends SecretOptions, ClientIdentityOptions, LogOptions {
  readonly cert: string;
  readonly json?: boolean;
}

export function addInfoCommand(program: Command): void {
  const command = program
    .command('info')
    .description(
      'Show the size, block sizes, permissions, capabilities and round-trip time of one export.',
    )
    .argument('<address>', `HOST[:PORT]/NAME; ${ADDRESS_HELP}`)
    .addOption(trustOption())
    .addOption(secretOption())
    .option('--json', 'print JSON, with sizes in bytes and times in milliseconds');
  for (const option of clientIdentityOptions()) command.addOption(option);
  command
    .addHelpText('after', '\nExample:\n  $ dst-quic info storage.example/root --cert ca.pem --json')
    .action(async (address: string, _options: unknown, called: Command) => {
      const options = called.optsWithGlobals<InfoOptions>();
      const { exportName, ...place } = parseStore(address);
      const { exportInfo } = await import('../client/queries.js');
      const { askExport } = await import('./dialer.js');
      const secret = await readSecret(options);
      const identity = clientIdentity(options);
      const log = await createLogger({ level: options.logLevel, format: options.logFormat });
      const { answer: info, route } = await askExport(
        { place, certificatePath: options.cert, identity, log },
        (dial) => exportInfo(dial, exportName, secret),
      );
      if (options.json) printJson(flatten(info, route));
      else printTable(rows(info, route));
    });
}

/** The shape of `--json`: scripts rely on its names. */
function flatten({ export: description, roundTripMs, ...rest }: ExportInfo, route: Route) {
  return {
    ...description,
    ...routeFields(route),
    ...rest,
    roundTripMs: Number(roundTripMs.toFixed(3)),
  };
}

function rows(info: ExportInfo, route: Route): string[][] {
  const { name, sizeBytes, minimumBlockBytes, preferredBlockBytes, readOnly, capabilities } =
    info.export;
  return [
    ['name', name],
    ['size', `${formatSize(sizeBytes)} (${sizeBytes} bytes)`],
    ['minimum block', formatSize(minimumBlockBytes)],
    ['preferred block', formatSize(preferredBlockBytes)],
    ['access', readOnly ? 'read-only' : 'read-write'],
    ['capabilities', capabilities.join(', ')],
    [
      'checksum',
      `${info.checksum}${info.checksumKeyed ? ', keyed' : ''} (of ${info.checksums.join(', ')})`,
    ],
    ['transport', describeRoute(route)],
    ['round trip', `${info.roundTripMs.toFixed(2)} ms`],
    ['software', info.agent],
  ];
}
