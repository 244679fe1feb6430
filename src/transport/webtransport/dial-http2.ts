import { type ClientHttp2Session, connect } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { DstError } from '../../errors.js';
import { HTTP2_WINDOW_BYTES } from '../../limits.js';
import { certificateSha256 } from '../../trust/fingerprint.js';
import type { CloseReason, Connection } from '../transport.js';
import { throwIfAborted, waitFor } from '../wait-for.js';
import {
  type AddressDialOptions,
  notAnExport,
  startTls,
  unreachable,
  verified,
  where,
} from './dial-tls.js';
import {
  type Engine,
  type EngineClient,
  type EngineSession,
  type EngineWebTransport,
  loadEngine,
} from './engine.js';
import { attendCapsules, carrierOver } from './http2-session.js';
import { ENGINE_WINDOWS, HTTP2_OPTIONS, WEBTRANSPORT_PATH } from './options.js';
import { WebTransportConnection } from './webtransport-connection.js';

/**
 * One attempt at one address over TCP. We make the TLS and the HTTP/2 connection ourselves, as
 * the library verifies by the system's authorities alone, and hand it to the library then.
 *
 * Rejects as `verified` does, with DST_E_HANDSHAKE (HTTP/2, but no export), DST_E_UNREACHABLE
 * past the time, DST_E_CONNECTION_LOST or DST_E_ABORTED; nothing is left open then.
 */
export async function dialHttp2(options: AddressDialOptions): Promise<Connection> {
  const { timeoutMs, signal } = options;
  const engine = await loadEngine();
  throwIfAborted(signal);
  const socket = startTls(options);
  try {
    return await waitFor(establish(engine, socket, options), {
      timeoutMs,
      signal,
      late: () => unreachable(options, 'TCP'),
    });
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function establish(
  engine: Engine,
  socket: TLSSocket,
  options: AddressDialOptions,
): Promise<Connection> {
  const certificate = await verified(socket, options);
  const http2 = connect(`https://${where(options)}`, {
    ...HTTP2_OPTIONS,
    createConnection: () => socket,
  });
  http2.on('error', () => {});
  await supported(http2, options);
  http2.setLocalWindowSize(HTTP2_WINDOW_BYTES);
  const session = openSession(engine, http2, options);
  const sha256 = certificateSha256(certificate);
  const carrier = carrierOver(http2, { socket, peer: options.peer, sha256 });
  const connection = new WebTransportConnection(session, carrier);
  let ended: CloseReason | undefined;
  connection.onClose((reason) => {
    ended = reason;
  });
  try {
    await session.ready;
  } catch (cause) {
    const status = ended?.code ?? 0;
    if (status < HTTP_REDIRECTS) throw lost(options, cause);
    throw notAnExport(options, `it answered WebTransport with status ${status}`, cause);
  }
  attendCapsules(connection, session.objint?.capsParser);
  return connection;
}

/** HTTP statuses that are no success begin here; HTTP/2's own codes all lie below. */
const HTTP_REDIRECTS = 300;

/** Waits until the peer has said that it does WebTransport, as an export does at once. */
function supported(http2: ClientHttp2Session, options: AddressDialOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    http2.once('remoteSettings', ({ enableConnectProtocol }) => {
      if (enableConnectProtocol) resolve();
      else reject(notAnExport(options, 'it speaks HTTP/2 and no WebTransport'));
    });
    http2.once('error', (cause) =>
      reject(notAnExport(options, 'its HTTP/2 makes no sense', cause)),
    );
    http2.once('close', () => reject(lost(options)));
  });
}

/** A session of the library on an HTTP/2 connection that is there already. */
function openSession(
  engine: Engine,
  http2: ClientHttp2Session,
  options: AddressDialOptions,
): EngineSession {
  class Prepared extends engine.WebTransport implements EngineWebTransport {
    override createClient(args: object) {
      const made = super.createClient(args);
      prepare(made.client, http2);
      return made;
    }
  }
  const url = `https://${where(options)}${WEBTRANSPORT_PATH}`;
  return new Prepared(url, { ...ENGINE_WINDOWS, forceReliable: true }).sessionint;
}

function prepare({ args }: EngineClient, http2: ClientHttp2Session): void {
  const create = args.createReliableClient;
  args.createReliableClient = (client) => {
    const transport = create(client);
    transport.createTransport = () => {
      transport.clientInt = http2;
      queueMicrotask(() => {
        transport.jsobj.onClientConnected({ success: true });
        transport.jsobj.onClientWebTransportSupport({});
      });
    };
    return transport;
  };
}

function lost(options: AddressDialOptions, cause?: unknown): DstError {
  return new DstError(
    'DST_E_CONNECTION_LOST',
    `${where(options)} ended the connection at once: see the export's log`,
    { cause },
  );
}
