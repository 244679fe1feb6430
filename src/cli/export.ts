import { type Command, Option } from 'commander';
import type { HostPort } from '../client/address.js';
import { SESSION_LEASE_MS, SESSION_LEASE_MS_MAX, SESSION_LEASE_MS_MIN } from '../limits.js';
import { type AccessOptions, accessOptions } from './access-options.js';
import { type ChecksumOptions, checksumOptions } from './checksum-options.js';
import { type CryptoThreadsOptions, cryptoThreadsOption } from './crypto-threads.js';
import { formatDuration } from './duration.js';
import { lanesLimitOption } from './lanes-option.js';
import {
  ConfigOption,
  durationOption,
  type LogOptions,
  parseListen,
  repeatable,
  sizeOption,
} from './options.js';
import { type SecretOptions, secretOption } from './secret-option.js';
import { resolveStore } from './store-spec.js';
import { type WebTransportOptions, webTransportOptions } from './webtransport-options.js';

export interface ExportOptions
  extends LogOptions,
    SecretOptions,
    ChecksumOptions,
    CryptoThreadsOptions,
    AccessOptions,
    WebTransportOptions {
  readonly name?: string;
  readonly listen?: readonly HostPort[];
  readonly cert?: string;
  readonly key?: string;
  readonly size?: number;
  readonly readOnly?: boolean;
  /** In milliseconds. */
  readonly lease: number;
  readonly shared?: boolean;
  /** That one client may have. */
  readonly lanes: number;
}

export function addExportCommand(program: Command): void {
  const exporting = program
    .command('export')
    .description('Offer files, disks or memory to clients.')
    .argument(
      '<store...>',
      'FILE, DEVICE or memory:SIZE; NAME=FILE to name it (a path with "=" in it begins with / or ./)',
    )
    .usage('[options] [store...]')
    .option(
      '--name <name>',
      "what clients ask for (default: the file's name without its extension)",
    )
    .addOption(
      repeatable(
        '--listen <host:port>',
        'listen there, on UDP and TCP; may be given several times; 0.0.0.0 and [::] are all addresses (default: 127.0.0.1:4433)',
        parseListen,
      ),
    )
    .option('--cert <file>', "the export's certificate, PEM (default: certs/server.pem)")
    .option('--key <file>', 'its private key, PEM (default: certs/server-key.pem)')
    .addOption(secretOption())
    .addOption(
      sizeOption('--size <size>', 'create the file with this size, as in 64M or 10G, or grow it'),
    )
    .addOption(new Option('--read-only', 'refuse writes'))
    .addOption(
      durationOption('--lease <time>', 'keep a store for its writer for so long when he is gone', {
        minMs: SESSION_LEASE_MS_MIN,
        maxMs: SESSION_LEASE_MS_MAX,
      }).default(SESSION_LEASE_MS, formatDuration(SESSION_LEASE_MS)),
    )
    .option('--shared', 'let several clients write to a store at once, as a cluster needs it');
  const checksums = checksumOptions('checksums that clients may use, best first', 'all');
  for (const option of [...checksums, ...accessOptions(), ...webTransportOptions()]) {
    exporting.addOption(option);
  }
  exporting.addOption(lanesLimitOption());
  exporting.addOption(cryptoThreadsOption());
  exporting.addOption(new ConfigOption(resolveStore));
  exporting
    .addHelpText('after', EXAMPLES)
    .action(async (stores: string[], _options: unknown, command: Command) => {
      const { runExport } = await import('./run-export.js');
      await runExport(stores, command.optsWithGlobals<ExportOptions>());
    });
}

const EXAMPLES = `
Examples:
  $ dst-quic export disk.img --size 10G
  $ dst-quic export root=/srv/root.img data=/dev/sdb scratch=memory:256M \\
      --listen 0.0.0.0:4433 --cert server.pem --key server-key.pem \\
      --allow 192.0.2.0/24 --allow 2001:db8::/32=ro
  $ dst-quic export disk.img --listen 0.0.0.0:4433 --allow 0.0.0.0/0 \\
      --client-ca ca.pem --allow-name host.example --allow-name backup.example=ro
  $ truncate --size 20G disk.img && kill -HUP PID

Only this machine may connect, unless --allow lets others in.
One client at a time may write to a store, and any number may read. SIGHUP looks at the sizes of
the files and disks again, and tells clients of those that have changed.

When clients may come, "ready ADDRESS" is printed for each store. SIGINT or SIGTERM ends the
export once what is in flight is done (10 s at most); a second one ends it at once.`;
