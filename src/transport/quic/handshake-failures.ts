import type { QuicServer, QuicServerSession } from '@currentspace/http3';
import { invariant } from '../../errors.js';
import { printable } from '../../printable.js';
import { alertOf, describeAlert } from '../../trust/tls-alerts.js';
import { shortReason } from '../close-reason.js';
import type { PeerAddress } from '../transport.js';

/** What we use of the engine's server beside its public methods. */
interface EngineServer {
  _onNewSession(event: { readonly connHandle: number }): void;
  readonly _sessions: ReadonlyMap<number, QuicServerSession>;
}

/**
 * Tells of clients whose connection TLS ended before its handshake was done, as for want of a
 * certificate that does. The engine (0.9.0) announces a session only after that, so this
 * listens where it makes them; its version is pinned exactly, and test/transport/
 * quic-mtls.test.ts notices when the way there changes.
 *
 * Either end may have raised the alert: a client does that when it does not trust the export.
 */
export function onHandshakeFailure(
  server: QuicServer,
  failed: (peer: PeerAddress, why: string) => void,
): void {
  const engine = server as unknown as EngineServer;
  const onNewSession = engine._onNewSession;
  invariant(
    typeof onNewSession === 'function' && engine._sessions instanceof Map,
    'the QUIC engine changed its server',
  );
  const done = new WeakSet<QuicServerSession>();
  server.on('session', (session: QuicServerSession) => done.add(session));
  engine._onNewSession = (event) => {
    onNewSession.call(server, event);
    const session = engine._sessions.get(event.connHandle);
    session?.on('close', ({ errorCode, reason }) => {
      const alert = alertOf(errorCode);
      if (alert === undefined || done.has(session)) return;
      const peer = { address: session.remoteAddress, port: session.remotePort };
      failed(peer, reason === '' ? describeAlert(alert) : printable(shortReason(reason)));
    });
  };
}
