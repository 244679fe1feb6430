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
  readonly client?: string;
}

/** What making certificates says of what was typed, and not of the machine. */
const TYPED = new Set<string>(['DST_E_CERT_HOST', 'DST_E_CERT_DAYS', 'DST_E_CERT_CLIENT_NAME']);

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
    .addOption(
      new Option(
        '--client <name>',
        'make one more client certificate, of this name, from the CA that is there',
      ).conflicts('host'),
    )
    .addHelpText('after', EXAMPLES)
    .action((options: CertOptions) => reportTyped(() => make(options)));
}

const EXAMPLES = `
Examples:
  $ dst-quic cert --dir certs --host storage.example --host 192.0.2.7
  $ dst-quic cert --dir certs --client backup

The export needs server.pem and server-key.pem, its clients need ca.pem. With --client-ca ca.pem
the export asks clients for certificates too, and --allow-name backup lets in the second one above
(connect with --client-cert client-backup.pem --client-key client-backup-key.pem). The keys stay
secret, and ca-key.pem most of all: whoever has it can pose as your export.`;

async function make({
  dir: directory,
  host: hosts = [],
  days,
  client,
}: CertOptions): Promise<void> {
  const { generateCertificates, generateClientCertificate } = await import('../trust/generate.js');
  if (client !== undefined) {
    const made = await generateClientCertificate({ directory, name: client, days });
    printTable([['client', made.certificatePath, `until ${made.validUntil.toISOString()}`]]);
    return;
  }
  const made = await generateCertificates({ directory, hosts, days });
  printTable([
    ['CA', made.files.caCertificate, made.authorityReused ? 'kept' : 'new: give it to clients'],
    ['export', made.files.serverCertificate, `for ${made.hosts.join(', ')}`],
    ['client', made.files.clientCertificate, `until ${made.validUntil.toISOString()}`],
  ]);
}

/** What was typed wrong ends with the exit code for that. */
async function reportTyped(action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof DstError) || !TYPED.has(error.code)) throw error;
    throw new UsageError(error.message, error.code, error);
  }
}

function parseDays(text: string): number {
  if (!/^[0-9]{1,5}$/.test(text)) throw new InvalidArgumentError('Give a number of days.');
  return Number(text);
}
