import { type Command, InvalidArgumentError, Option } from 'commander';
import { DstError } from '../errors.js';
import { CERTIFICATE_DAYS_DEFAULT, CERTIFICATE_DAYS_MAX } from '../limits.js';
import { UsageError } from './exit.js';
import { repeatable } from './options.js';
import { printTable } from './output.js';

interface CertOptions {
  readonly dir: string;
  readonly host?: readonly string[];
  readonly days: number;
}

/** What `generateCertificates` says of what was typed, and not of the machine. */
const TYPED = new Set<string>(['DST_E_CERT_HOST', 'DST_E_CERT_DAYS']);

export function addCertCommand(program: Command): void {
  program
    .command('cert')
    .description(
      'Make a CA, and a certificate from it for an export and for a client (ECDSA P-256).',
    )
    .option('--dir <dir>', 'where to put them; a CA that is there is used again', 'certs')
    .addOption(
      repeatable(
        '--host <name|ip>',
        'what clients dial the export by; may be given several times (default: localhost, 127.0.0.1, ::1 and the name of this machine)',
        (text) => text,
      ),
    )
    .addOption(
      new Option('--days <days>', `how long they last, up to ${CERTIFICATE_DAYS_MAX}`)
        .default(CERTIFICATE_DAYS_DEFAULT)
        .argParser(parseDays),
    )
    .addHelpText('after', EXAMPLE)
    .action((options: CertOptions) => makeCertificates(options));
}

const EXAMPLE = `
Example:
  $ dst-quic cert --dir certs --host storage.example --host 192.0.2.7

The export needs server.pem and server-key.pem, its clients need ca.pem. The keys stay secret,
and ca-key.pem most of all: whoever has it can pose as your export.`;

async function makeCertificates({ dir, host, days }: CertOptions): Promise<void> {
  const { generateCertificates } = await import('../trust/generate.js');
  try {
    const made = await generateCertificates({ directory: dir, hosts: host ?? [], days });
    printTable([
      ['CA', made.files.caCertificate, made.authorityReused ? 'kept' : 'new: give it to clients'],
      ['export', made.files.serverCertificate, `for ${made.hosts.join(', ')}`],
      ['client', made.files.clientCertificate, `until ${made.validUntil.toISOString()}`],
    ]);
  } catch (error) {
    if (!(error instanceof DstError) || !TYPED.has(error.code)) throw error;
    throw new UsageError(error.message, error.code, error);
  }
}

function parseDays(text: string): number {
  if (!/^[0-9]{1,5}$/.test(text)) throw new InvalidArgumentError('Give a number of days.');
  return Number(text);
}
