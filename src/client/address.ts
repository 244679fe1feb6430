import { isIP, isIPv6 } from 'node:net';
import { DstError } from '../errors.js';
import { EXPORT_NAME_BYTES_MAX } from '../limits.js';
import { parseHost } from '../trust/host.js';

/** Where an export listens unless told otherwise. */
export const DEFAULT_PORT = 4433;

/** A host, without brackets, and a port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Which transport an address asks for: QUIC, or WebTransport. */
export type Scheme = 'quic' | 'https';

/** Where an export is, and how to reach it: without a scheme, by whichever transport answers. */
export interface ExportPlace extends HostPort {
  readonly scheme: Scheme | undefined;
}

/** An export, and one of its stores where the address names one. */
export interface ExportAddress extends ExportPlace {
  readonly exportName: string | undefined;
}

const PORT_MAX = 65_535;
const SCHEMES: readonly Scheme[] = ['quic', 'https'];
const SCHEME = /^(?<scheme>[a-z][a-z0-9+.-]*):\/\//i;
const HOST_PORT = /^(?:\[(?<address>[^\]]*)\]|(?<name>[^:[\]]*))(?::(?<port>[0-9]{1,5}))?$/;

/**
 * Reads `quic://HOST:PORT/NAME` or `https://HOST:PORT/NAME`; the scheme, the port and the name
 * may be left out. The port is DEFAULT_PORT for either scheme. An IPv6 address is in brackets,
 * and the name may be percent-encoded. Throws DST_E_ADDRESS.
 */
export function parseAddress(text: string): ExportAddress {
  const begins = SCHEME.exec(text)?.groups?.scheme;
  const scheme = begins === undefined ? undefined : knownScheme(text, begins.toLowerCase());
  const rest = begins === undefined ? text : text.slice(begins.length + '://'.length);
  const slash = rest.indexOf('/');
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const name = slash < 0 ? '' : rest.slice(slash + 1);
  const { host, port } = parseHostPort(authority);
  if (port === 0) throw addressError(`"${text}" has port 0: give the one that the export has`);
  return { scheme, host, port, exportName: name === '' ? undefined : decodeName(text, name) };
}

/** Reads `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`. Throws DST_E_ADDRESS. */
export function parseHostPort(text: string): HostPort {
  if (isIPv6(text)) throw addressError(`"${text}" needs brackets: write [${text}]:${DEFAULT_PORT}`);
  const { address, name, port: digits } = HOST_PORT.exec(text)?.groups ?? {};
  const host = address ?? name ?? '';
  const known = address === undefined ? parseHost(host) : isIPv6(host) && parseHost(host);
  if (!known) {
    throw addressError(`"${text}" is no host and port: write HOST:PORT, as in 127.0.0.1:4433`);
  }
  const port = digits === undefined ? DEFAULT_PORT : Number(digits);
  if (port > PORT_MAX) throw addressError(`"${text}" has no port up to ${PORT_MAX}: correct it`);
  // An address stays as it is, since a zone (%eth0) is a part of it that `parseHost` drops.
  return { host: isIP(host) === 0 ? known.value : host, port };
}

/** The reverse of `parseHostPort`. */
export function formatHostPort({ host, port }: HostPort): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The address of a store, as `parseAddress` reads it. */
export function formatAddress(place: ExportPlace, exportName: string): string {
  const scheme = place.scheme === undefined ? '' : `${place.scheme}://`;
  return `${scheme}${formatHostPort(place)}/${encodeURIComponent(exportName)}`;
}

function knownScheme(text: string, scheme: string): Scheme {
  const known = SCHEMES.find((each) => each === scheme);
  if (known !== undefined) return known;
  throw addressError(
    `"${text}" begins with ${scheme}://, which is not known: use quic://, https:// or neither`,
  );
}

function decodeName(text: string, encoded: string): string {
  // Reserved, so that an address can carry more one day.
  if (/[?#]/.test(encoded)) {
    throw addressError(`"${text}" has a ? or # in its name: write them as %3F and %23`);
  }
  let name: string;
  try {
    name = decodeURIComponent(encoded);
  } catch (cause) {
    throw addressError(`"${text}" has a % that is not followed by UTF-8: write it as %25`, cause);
  }
  if (Buffer.byteLength(name) > EXPORT_NAME_BYTES_MAX) {
    throw addressError(`the name in the address is longer than ${EXPORT_NAME_BYTES_MAX} bytes`);
  }
  return name;
}

function addressError(message: string, cause?: unknown): DstError {
  return new DstError('DST_E_ADDRESS', message, { cause });
}
