import { type Command, Option } from 'commander';
import type { HostPort } from '../client/address.js';
import { type ChecksumOptions, checksumOptions } from './checksum-options.js';
import { type ClientIdentityOptions, clientIdentityOptions } from './client-identity-option.js';
import { type CryptoThreadsOptions, cryptoThreadsOption } from './crypto-threads.js';
import { type DeviceOptions, deviceOptions } from './device-options.js';
import { type LanesOptions, lanesOption } from './lanes-option.js';
import {
  ADDRESS_HELP,
  ConfigOption,
  type LogOptions,
  parseListen,
  parseStore,
  trustOption,
} from './options.js';
import { type OutageOptions, outageOptions } from './outage-options.js';
import { type SecretOptions, secretOption } from './secret-option.js';

export interface ConnectOptions
  extends LogOptions,
    OutageOptions,
    SecretOptions,
    ClientIdentityOptions,
    ChecksumOptions,
    CryptoThreadsOptions,
    LanesOptions,
    DeviceOptions {
  readonly cert: string;
  readonly socket?: string;
  readonly listen?: HostPort;
  readonly readOnly?: boolean;
}

export function addConnectCommand(program: Command): void {
  const connect = program
    .command('connect')
    .description('Serve a remote export as a block device, or to NBD programs on this machine.')
    .argument('<address>', `HOST[:PORT]/NAME; ${ADDRESS_HELP}`)
    .usage('[options] [address]')
    .addOption(trustOption())
    .addOption(secretOption())
    .addOption(
      new Option(
        '--socket <path>',
        'Unix socket to serve on (default: NAME.sock in $DST_QUIC_RUNTIME_DIR; else in /run/dst-quic for root, in $XDG_RUNTIME_DIR/dst-quic for others)',
      ).conflicts('listen'),
    )
    .addOption(
      new Option(
        '--listen <host:port>',
        'serve on TCP instead, at a loopback address; port 0 takes a free one',
      ).argParser(parseListen),
    )
    .option('--read-only', 'write nothing, even where the export allows it');
  for (const option of deviceOptions()) connect.addOption(option);
  const checksums = checksumOptions('checksums to accept; the export picks one', 'all but none');
  for (const option of clientIdentityOptions()) connect.addOption(option);
  for (const option of [...checksums, ...outageOptions()]) connect.addOption(option);
  connect.addOption(lanesOption());
  connect.addOption(cryptoThreadsOption());
  connect.addOption(new ConfigOption(checkedAddress));
  connect
    .addHelpText('after', EXAMPLES)
    .action(async (address: string, _options: unknown, command: Command) => {
      const { runConnect } = await import('./run-connect.js');
      await runConnect(address, command.optsWithGlobals<ConnectOptions>());
    });
}

/** An address in a configuration file, where a wrong one is told with its line. */
function checkedAddress(_folder: string, text: string): string {
  parseStore(text);
  return text;
}

const EXAMPLES = `
Examples:
  $ dst-quic connect storage.example:4433/root --cert ca.pem --socket /tmp/root.sock
  ready nbd+unix:///root?socket=/tmp/root.sock
  $ nbdinfo 'nbd+unix:///root?socket=/tmp/root.sock'

  # dst-quic connect storage.example/root --cert ca.pem --device auto
  ready /dev/nbd0
  # mount /dev/nbd0 /mnt

  $ dst-quic connect storage.example/root --cert ca.pem --wait --max-resends inf
  $ dst-quic connect storage.example/root --cert ca.pem --takeover

While the export is away, commands wait and go on once it is back. Times are like 500ms, 5s, 2m
or 1h, sizes like 64M.

The line "ready URI", or "ready /dev/nbd0", is all that is printed to standard output. SIGINT or
SIGTERM ends it once what is in flight is done and flushed (10 s at most); a second one ends it at
once. A device that is in use is not detached: it is served on, and the next signal tries again.
If this process is killed, the next one with the same --device takes the device over; until then
its commands wait.`;
