import { Option } from 'commander';
import type { HostPort } from '../client/address.js';
import type { Log } from '../log.js';
import { UsageError } from './exit.js';
import type { ListenOptions } from './listen-everywhere.js';

/** Where an export listens for WebTransport, beside QUIC. */
export interface WebTransportOptions {
  /** False with --no-webtransport. */
  readonly webtransport: boolean;
  readonly webtransportPort?: number;
}

const PORT_MAX = 65_535;

export function webTransportOptions(): Option[] {
  return [
    new Option('--no-webtransport', 'listen for QUIC only, and not on TCP'),
    new Option(
      '--webtransport-port <port>',
      'listen for WebTransport over HTTP/3 too, on this UDP port',
    )
      .argParser(parsePort)
      .conflicts('webtransport'),
  ];
}

/**
 * What to listen for. Clients cannot show certificates over WebTransport, so where they must
 * there is none. Throws a `UsageError`.
 */
export function webTransportPlan(
  { webtransport, webtransportPort: http3Port }: WebTransportOptions,
  places: readonly HostPort[],
  asksForCertificates: boolean,
  log: Log,
): Pick<ListenOptions, 'webTransport' | 'http3Port'> {
  if (asksForCertificates && http3Port !== undefined) {
    throw new UsageError(
      '--webtransport-port does not go with --client-ca: clients show certificates over QUIC only',
    );
  }
  if (places.some(({ port }) => port === http3Port)) {
    throw new UsageError(
      `--webtransport-port ${http3Port} is where QUIC listens: choose another port`,
    );
  }
  if (asksForCertificates && webtransport) {
    log.info('not listening for WebTransport: clients show certificates over QUIC only');
  }
  return { webTransport: webtransport && !asksForCertificates, http3Port };
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= PORT_MAX) return port;
  throw new UsageError(
    `--webtransport-port "${text}" is no port: give a number from 1 to ${PORT_MAX}`,
  );
}
