import { lookup } from 'node:dns/promises';
import { formatHostPort, type HostPort } from '../client/address.js';
import { DstError } from '../errors.js';
import { PORT_CHOICES_MAX } from '../limits.js';
import type { Log } from '../log.js';
import { type ClientDemands, listenQuic } from '../transport/quic/listen.js';
import type { Listener } from '../transport/transport.js';
import type { Identity } from '../trust/identity.js';

export interface ListenOptions {
  readonly places: readonly HostPort[];
  readonly identity: Identity;
  /** Set where every client must show a certificate. */
  readonly clients: ClientDemands | undefined;
  /** WebTransport over HTTP/2, on TCP at the same ports. */
  readonly webTransport: boolean;
  /** WebTransport over HTTP/3 as well, on this UDP port. */
  readonly http3Port: number | undefined;
  readonly log: Log;
}

const KINDS = {
  quic: { network: 'UDP', name: 'QUIC' },
  'http/2': { network: 'TCP', name: 'WebTransport over HTTP/2' },
  'http/3': { network: 'UDP', name: 'WebTransport over HTTP/3' },
} as const;

/**
 * Listens at every place, over every transport that is asked for; QUIC's listener at the first
 * place is the first. What WebTransport needs is loaded only where it is asked for.
 *
 * Rejects with DST_E_RESOLVE, or as `listenQuic` and `listenWebTransport` do; then nothing is
 * left open.
 */
export async function listenEverywhere(options: ListenOptions): Promise<Listener[]> {
  const listeners: Listener[] = [];
  try {
    const places: HostPort[] = [];
    for (const { host, port } of options.places) places.push({ host: await resolve(host), port });
    for (const place of places) listeners.push(...(await listenAt(place, options)));
    for (const place of http3Places(places, options.http3Port)) {
      listeners.push(...(await listenWeb('http/3', place, options)));
    }
  } catch (error) {
    await closeAll(listeners);
    throw error;
  }
  return listeners;
}

/** HTTP/3 has one port for all: hosts that are listened on at several ports have it once. */
export function http3Places(places: readonly HostPort[], port: number | undefined): HostPort[] {
  if (port === undefined) return [];
  const hosts = new Set(places.map(({ host }) => host));
  return [...hosts].map((host) => ({ host, port }));
}

/** QUIC, and TCP at the same port: where QUIC may choose one, another until both are free. */
async function listenAt(place: HostPort, options: ListenOptions): Promise<Listener[]> {
  for (let choice = 1; ; choice++) {
    const quic = await listenQuic({ ...options, ...place });
    try {
      const [first] = quic;
      const port = first?.address.port ?? place.port;
      const web = options.webTransport
        ? await listenWeb('http/2', { host: place.host, port }, options)
        : [];
      tell('quic', quic, options.log);
      return [...quic, ...web];
    } catch (error) {
      await closeAll(quic);
      const taken = error instanceof DstError && error.code === 'DST_E_ADDRESS_IN_USE';
      if (!taken || place.port !== 0 || choice >= PORT_CHOICES_MAX) throw error;
    }
  }
}

async function listenWeb(
  protocol: 'http/2' | 'http/3',
  place: HostPort,
  { identity, log }: ListenOptions,
): Promise<Listener[]> {
  const { listenWebTransport } = await import('../transport/webtransport/listen.js');
  const listeners = await listenWebTransport({ ...place, identity, log, protocol });
  tell(protocol, listeners, log);
  return listeners;
}

async function closeAll(listeners: readonly Listener[]): Promise<void> {
  await Promise.all(listeners.map((listener) => listener.close()));
}

function tell(kind: keyof typeof KINDS, listeners: readonly Listener[], log: Log): void {
  const { network, name } = KINDS[kind];
  for (const { address } of listeners) {
    const where = formatHostPort({ host: address.address, port: address.port });
    log.info(`listening on ${network} ${where} (${name})`);
  }
}

/** The engines listen on addresses only. */
async function resolve(host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch (cause) {
    throw new DstError(
      'DST_E_RESOLVE',
      `the name "${host}" of --listen does not resolve: give an address of this machine`,
      { cause },
    );
  }
}
