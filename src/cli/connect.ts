import { type Command, Option } from 'commander';
import type { HostPort } from '../client/address.js';
import { checksumOption, type LogOptions, parseListen, trustOption } from './options.js';
import { type OutageOptions, outageOptions } from './outage-options.js';

export interface ConnectOptions extends LogOptions, OutageOptions {
  readonly cert: string;
  readonly socket?: string;
  readonly listen?: HostPort;
  readonly checksum?: string;
  readonly readOnly?: boolean;
}

export function addConnectCommand(program: Command): void {
  const connect = program
    .command('connect')
    .description('Serve a remote export to NBD programs on this machine.')
    .argument('<address>', '[quic://]HOST[:PORT]/NAME; the port is 4433 unless given')
    .addOption(trustOption())
    .addOption(
      new Option(
        '--socket <path>',
        'Unix socket to serve on (default: NAME.sock in $XDG_RUNTIME_DIR/dst-quic or /run/dst-quic)',
      ).conflicts('listen'),
    )
    .addOption(
      new Option(
        '--listen <host:port>',
        'serve on TCP instead, at a loopback address; port 0 takes a free one',
      ).argParser(parseListen),
    )
    .addOption(checksumOption('checksums to accept; the export picks one', 'all but none'))
    .option('--read-only', 'write nothing, even where the export allows it');
  for (const option of outageOptions()) connect.addOption(option);
  connect
    .addHelpText('after', EXAMPLES)
    .action(async (address: string, _options: unknown, command: Command) => {
      const { runConnect } = await import('./run-connect.js');
      await runConnect(address, command.optsWithGlobals<ConnectOptions>());
    });
}

const EXAMPLES = `
Examples:
  $ dst-quic connect storage.example:4433/root --cert ca.pem --socket /tmp/root.sock
  ready nbd+unix:///root?socket=/tmp/root.sock
  $ nbdinfo 'nbd+unix:///root?socket=/tmp/root.sock'

  $ dst-quic connect storage.example/root --cert ca.pem --wait --max-resends inf
  $ dst-quic connect storage.example/root --cert ca.pem --takeover

While the export is away, commands wait and go on once it is back. Times are like 500ms, 5s, 2m
or 1h, sizes like 64M.

The line "ready URI" is all that is printed to standard output. SIGINT or SIGTERM ends it once
what is in flight is done and flushed (10 s at most); a second one ends it at once.`;
