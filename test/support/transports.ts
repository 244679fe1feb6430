/** Every transport, as a test starts it: a loop over `TRANSPORTS` runs a test over each. */
import type { DialRequest } from '../../src/client/dial.js';
import { silentLog } from '../../src/log.js';
import { dialQuic } from '../../src/transport/quic/dial.js';
import { listenQuic } from '../../src/transport/quic/listen.js';
import type { Connection, Listener } from '../../src/transport/transport.js';
import { dialWebTransport, http3Available } from '../../src/transport/webtransport/dial.js';
import { listenWebTransport } from '../../src/transport/webtransport/listen.js';
import type { Identity } from '../../src/trust/identity.js';
import type { ServerTrust } from '../../src/trust/server-trust.js';

/** Those that use a network. WebTransport is over HTTP/2 where it is not said otherwise. */
export type NetworkTransportName = 'quic' | 'webtransport' | 'webtransport-http3';
export type TransportName = 'memory' | NetworkTransportName;

export const NETWORK_TRANSPORTS: readonly NetworkTransportName[] = [
  'quic',
  'webtransport',
  'webtransport-http3',
];
export const TRANSPORTS: readonly TransportName[] = ['memory', ...NETWORK_TRANSPORTS];

const HTTP3 = await http3Available();

/** `skip` for a test over this transport: the reason where it cannot be had here, else false. */
export function skipTransport(name: TransportName): string | false {
  if (name !== 'webtransport-http3' || HTTP3) return false;
  return 'the HTTP/3 binary of @fails-components/webtransport is not installed';
}

/** What a connection over it calls itself. */
export function connectionTransport(name: TransportName): Connection['transport'] {
  return name === 'webtransport-http3' ? 'webtransport' : name;
}

/** An export's side on a free port of loopback, and the client's way to it. */
export interface Wire {
  listen(identity: Identity): Promise<Listener[]>;
  dial(port: number, trust: ServerTrust, request: DialRequest): Promise<Connection>;
}

const HOST = '127.0.0.1';
const LISTEN = { host: HOST, port: 0, log: silentLog };

export const WIRES: Readonly<Record<NetworkTransportName, Wire>> = {
  quic: {
    listen: (identity) => listenQuic({ ...LISTEN, identity }),
    dial: (port, trust, request) => dialQuic({ host: HOST, port, trust, ...request }),
  },
  webtransport: webTransport('http/2'),
  'webtransport-http3': webTransport('http/3'),
};

function webTransport(protocol: 'http/2' | 'http/3'): Wire {
  return {
    listen: (identity) => listenWebTransport({ ...LISTEN, identity, protocol }),
    dial: (port, trust, request) =>
      dialWebTransport({ host: HOST, port, trust, protocols: [protocol], ...request }),
  };
}
