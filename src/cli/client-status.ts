import type { RemoteDevice } from '../client/remote-device.js';
import type { ClientStatus } from '../ops/control-messages.js';
import type { Client } from './client-setup.js';

/** What a client is attached as, and how much it has to do. */
export interface Serving {
  readonly device?: string;
  readonly uri?: string;
  /** The export will not have it any more. */
  readonly refused: boolean;
  readonly inFlight: number;
  readonly inFlightBytes: number;
  readonly since: string;
}

/** How a client does, for `dst-quic status`. */
export function clientStatus(
  { address, session, route }: Client,
  device: RemoteDevice,
  { refused, ...serving }: Serving,
): ClientStatus {
  const { open: lanes, wanted: lanesWanted } = device.session.lanes;
  return {
    pid: process.pid,
    export: session.exportName,
    address,
    transport: route.currentRoute()?.transport,
    state: refused ? 'ended' : device.session.connected ? 'connected' : 'reconnecting',
    sizeBytes: device.geometry.sizeBytes,
    readOnly: device.capabilities.readOnly,
    lanes,
    lanesWanted,
    unflushedBytes: device.session.unflushedBytes,
    ...serving,
  };
}
