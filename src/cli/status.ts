import type { Command } from 'commander';
import { formatSize } from '../block/size.js';
import { type Attached, listAttached, placeOf } from '../ops/attached.js';
import type { LogOptions } from './options.js';
import { printJson, printTable } from './output.js';

interface StatusOptions extends LogOptions {
  readonly json?: boolean;
}

export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description('Show what is attached on this machine, by clients of this user.')
    .option('--json', 'print JSON, with sizes in bytes')
    .addHelpText('after', EXAMPLES)
    .action(async (_options: unknown, called: Command) => {
      const { json } = called.optsWithGlobals<StatusOptions>();
      const attached = await listAttached();
      if (json) printJson(attached.map(({ status }) => status));
      else if (attached.length > 0) printTable([HEADINGS, ...attached.map(row)]);
      else process.stderr.write('dst-quic: nothing is attached\n');
    });
}

const HEADINGS = [
  'DEVICE',
  'EXPORT',
  'ADDRESS',
  'TRANSPORT',
  'LANES',
  'STATE',
  'SIZE',
  'IN FLIGHT',
  'SINCE',
];

const UNKNOWN = '-';

function row(attached: Attached): string[] {
  const { status } = attached;
  const { sizeBytes } = status;
  const size = sizeBytes === undefined ? UNKNOWN : formatSize(sizeBytes);
  return [
    placeOf(attached),
    status.export ?? UNKNOWN,
    status.address ?? UNKNOWN,
    ('transport' in status ? status.transport : undefined) ?? UNKNOWN,
    lanesOf(status),
    status.state,
    status.readOnly ? `${size} read-only` : size,
    'inFlight' in status ? `${status.inFlight}` : UNKNOWN,
    status.since ?? UNKNOWN,
  ];
}

/** As "3/4": three there are, of four that are wanted. */
function lanesOf(status: Attached['status']): string {
  if (!('lanes' in status) || status.lanes === undefined) return UNKNOWN;
  return `${status.lanes}/${status.lanesWanted ?? status.lanes}`;
}

const EXAMPLES = `
Example:
  $ dst-quic status --json

States: starting; connecting, until the export is reached first; connected; reconnecting, while
I/O waits for the export; ended, when the export refuses the client for good and commands fail;
silent, when the client does not answer; orphaned, when the client is gone and I/O waits for the
next "dst-quic connect --device".`;
