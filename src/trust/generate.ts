import { randomBytes, type X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DstError } from '../errors.js';
import {
  CERTIFICATE_BACKDATE_MS,
  CERTIFICATE_DAYS_MAX,
  CERTIFICATE_HOSTS_MAX,
  CERTIFICATE_NAME_CHARACTERS_MAX,
} from '../limits.js';
import type { Purpose } from './certificate-checks.js';
import { type Host, parseHost } from './host.js';
import type { Issued, Validity } from './issue.js';
import { readCertificateFile, readPrivateKeyFile } from './pem-file.js';
import { writeFileAtomically } from './write-file.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const DIRECTORY_MODE = 0o700;
const KEY_MODE = 0o600;
const CERTIFICATE_MODE = 0o644;
const WILDCARD = '*.';

const FILE_NAMES = {
  caCertificate: 'ca.pem',
  caKey: 'ca-key.pem',
  serverCertificate: 'server.pem',
  serverKey: 'server-key.pem',
  clientCertificate: 'client.pem',
  clientKey: 'client-key.pem',
} as const;

export type CertificateFileName = keyof typeof FILE_NAMES;

export interface GenerateOptions {
  readonly directory: string;
  /** DNS names (a first label of `*` is allowed) and addresses; none for `defaultHosts()`. */
  readonly hosts: readonly string[];
  /** How long the server's and the client's certificate last: 1 to CERTIFICATE_DAYS_MAX. */
  readonly days: number;
  readonly now?: Date;
}

export interface GeneratedCertificates {
  /** Paths of what is in the directory now. */
  readonly files: Readonly<Record<CertificateFileName, string>>;
  /** The names in the server's certificate. */
  readonly hosts: readonly string[];
  /** False where a new authority was made, which clients have yet to be given. */
  readonly authorityReused: boolean;
  /** When the server's and the client's certificate expire. */
  readonly validUntil: Date;
}

/** What a server is called on its own machine. */
export function defaultHosts(): string[] {
  const own = hostname();
  return ['localhost', '127.0.0.1', '::1', ...(parseHost(own) === undefined ? [] : [own])];
}

/**
 * Makes certificates to try things with or to run a small site by: an authority, a server's
 * certificate and a client's, with ECDSA P-256 keys. A key is readable by its owner only.
 *
 * An authority that is there and in date is used again, so that a new name for the server
 * changes nothing for its clients; the other certificates are made anew each time, and end
 * with their authority at the latest. `server.pem` is the leaf alone: it can be pinned, the
 * client has the authority that signed it, and the handshake stays small.
 *
 * Throws DST_E_CERT_HOST, DST_E_CERT_DAYS, DST_E_CERT_DIRECTORY, or DST_E_CERT_CA where the
 * authority that is there cannot be used.
 */
export async function generateCertificates(
  options: GenerateOptions,
): Promise<GeneratedCertificates> {
  const { directory, now = new Date() } = options;
  const hosts = parseHosts(options.hosts.length > 0 ? options.hosts : defaultHosts());
  checkDays(options.days);
  const files = pathsIn(directory);

  makeDirectory(directory);
  const found = findAuthority(files, now);
  const authority = found ?? (await makeAuthority(now));
  const validity = leafValidity(authority.certificate, options.days, now);
  const server = await makeLeaf(authority, 'server', hosts, validity);
  const client = await makeLeaf(authority, 'client', [], validity);

  if (found === undefined) writePair(files.caCertificate, files.caKey, authority);
  writePair(files.serverCertificate, files.serverKey, server);
  writePair(files.clientCertificate, files.clientKey, client);
  return {
    files,
    hosts: hosts.map(({ value }) => value),
    authorityReused: found !== undefined,
    validUntil: validity.notAfter,
  };
}

export interface ClientCertificateOptions {
  /** Where the authority is. */
  readonly directory: string;
  /** The common name: 1 to CERTIFICATE_NAME_CHARACTERS_MAX of letters, digits, `.`, `_`, `@` and `-`. */
  readonly name: string;
  /** 1 to CERTIFICATE_DAYS_MAX. */
  readonly days: number;
  readonly now?: Date;
}

export interface ClientCertificate {
  readonly certificatePath: string;
  readonly keyPath: string;
  readonly validUntil: Date;
}

/**
 * Makes one more client's certificate, `client-NAME.pem`, from the authority in the directory,
 * and changes nothing else there: exports may be pinned.
 *
 * Throws DST_E_CERT_CLIENT_NAME, DST_E_CERT_DAYS, DST_E_CERT_DIRECTORY, or DST_E_CERT_CA where
 * there is no authority that can be used.
 */
export async function generateClientCertificate(
  options: ClientCertificateOptions,
): Promise<ClientCertificate> {
  const { directory, name, days, now = new Date() } = options;
  checkClientName(name);
  checkDays(days);
  const authority = findAuthority(pathsIn(directory), now);
  if (authority === undefined) throw noAuthority(directory);
  const validity = leafValidity(authority.certificate, days, now);
  const issued = await makeLeaf(authority, 'client', [], validity, name);
  const certificatePath = join(directory, `client-${name}.pem`);
  const keyPath = join(directory, `client-${name}-key.pem`);
  writePair(certificatePath, keyPath, issued);
  return { certificatePath, keyPath, validUntil: validity.notAfter };
}

/** It is a part of the files' names, and must not make `client-key.pem` of them. */
function checkClientName(name: string): void {
  const fits = /^[A-Za-z0-9._@-]+$/.test(name) && name.length <= CERTIFICATE_NAME_CHARACTERS_MAX;
  if (fits && name !== 'key' && !name.endsWith('-key')) return;
  throw new DstError(
    'DST_E_CERT_CLIENT_NAME',
    `${JSON.stringify(name)} cannot name a client: give up to ${CERTIFICATE_NAME_CHARACTERS_MAX} letters, digits, dots, @, _ and -, not ending in "key"`,
  );
}

function noAuthority(directory: string): DstError {
  return new DstError(
    'DST_E_CERT_CA',
    `${directory} has no authority that is in date to sign with: run "dst-quic cert --dir ${directory}" without --client first`,
  );
}

function parseHosts(texts: readonly string[]): Host[] {
  if (texts.length > CERTIFICATE_HOSTS_MAX) {
    throw new DstError(
      'DST_E_CERT_HOST',
      `a certificate has at most ${CERTIFICATE_HOSTS_MAX} hosts, not ${texts.length}: give fewer`,
    );
  }
  const hosts = new Map(texts.map(parseCertificateHost).map((host) => [host.value, host]));
  return [...hosts.values()];
}

function parseCertificateHost(text: string): Host {
  const wildcard = text.startsWith(WILDCARD) ? WILDCARD : '';
  const host = text.includes('%') ? undefined : parseHost(text.slice(wildcard.length));
  if (host === undefined || (wildcard !== '' && host.kind === 'ip')) {
    throw new DstError(
      'DST_E_CERT_HOST',
      `${JSON.stringify(text)} is neither a DNS name nor an IP address: give the host alone, with no port, zone or brackets`,
    );
  }
  return { kind: host.kind, value: wildcard + host.value };
}

function checkDays(days: number): void {
  if (Number.isInteger(days) && days >= 1 && days <= CERTIFICATE_DAYS_MAX) return;
  throw new DstError(
    'DST_E_CERT_DAYS',
    `a certificate lasts a whole number of days from 1 to ${CERTIFICATE_DAYS_MAX}, not ${days}`,
  );
}

function pathsIn(directory: string): Record<CertificateFileName, string> {
  const entries = Object.entries(FILE_NAMES).map(([name, file]) => [name, join(directory, file)]);
  return Object.fromEntries(entries) as Record<CertificateFileName, string>;
}

function makeDirectory(directory: string): void {
  withDirectoryErrors(directory, () => {
    mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
  });
}

/** The authority in the directory; undefined where there is none, or it has expired. */
function findAuthority(
  { caCertificate, caKey }: Record<CertificateFileName, string>,
  now: Date,
): Issued | undefined {
  const hasCertificate = existsSync(caCertificate);
  const hasKey = existsSync(caKey);
  if (!hasCertificate && !hasKey) return undefined;
  // Half of a pair may be the last copy of something, or what a client trusts: never replace it.
  if (!hasKey) throw unusableAuthority(caCertificate, `has no key ${caKey} beside it`);
  if (!hasCertificate) throw unusableAuthority(caKey, `has no certificate ${caCertificate}`);

  const [certificate] = readCertificateFile(caCertificate).certificates;
  const { key } = readPrivateKeyFile(caKey);
  if (!certificate.ca) throw unusableAuthority(caCertificate, 'is no certificate authority');
  if (!certificate.checkPrivateKey(key)) {
    throw unusableAuthority(caCertificate, `does not belong to the key ${caKey}`);
  }
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw unusableAuthority(caKey, 'is not an ECDSA P-256 key');
  }
  return new Date(certificate.validTo) > now ? { certificate, key } : undefined;
}

function unusableAuthority(path: string, why: string): DstError {
  return new DstError(
    'DST_E_CERT_CA',
    `${path} ${why}: complete it, move it away, or choose another directory with --dir`,
  );
}

async function makeAuthority(now: Date): Promise<Issued> {
  const { issueAuthority } = await loadIssuer();
  // Authorities of one name but different keys would be taken for each other in messages.
  const commonName = `dst-quic CA ${randomBytes(4).toString('hex')}`;
  return issueAuthority(commonName, lasting(CERTIFICATE_DAYS_MAX, now));
}

async function makeLeaf(
  authority: Issued,
  purpose: Purpose,
  hosts: readonly Host[],
  validity: Validity,
  commonName = `dst-quic ${purpose}`,
): Promise<Issued> {
  const { issueLeaf } = await loadIssuer();
  return issueLeaf(authority, { commonName, purpose, hosts, validity });
}

/** Loaded on demand: it costs every other command a quarter of a second. */
function loadIssuer(): Promise<typeof import('./issue.js')> {
  return import('./issue.js');
}

function leafValidity(authority: X509Certificate, days: number, now: Date): Validity {
  const { notBefore, notAfter } = lasting(days, now);
  return { notBefore, notAfter: new Date(Math.min(+notAfter, Date.parse(authority.validTo))) };
}

function lasting(days: number, now: Date): Validity {
  return {
    notBefore: new Date(now.getTime() - CERTIFICATE_BACKDATE_MS),
    notAfter: new Date(now.getTime() + days * DAY_MS),
  };
}

function writePair(certificatePath: string, keyPath: string, pair: Issued): void {
  const key = pair.key.export({ type: 'pkcs8', format: 'pem' }).toString();
  withDirectoryErrors(keyPath, () => writeFileAtomically(keyPath, key, KEY_MODE));
  const certificate = pair.certificate.toString();
  withDirectoryErrors(certificatePath, () => {
    writeFileAtomically(certificatePath, certificate, CERTIFICATE_MODE);
  });
}

function withDirectoryErrors(path: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new DstError(
      'DST_E_CERT_DIRECTORY',
      `${path} cannot be written (${reason}): choose another directory with --dir`,
      { cause },
    );
  }
}
