import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { QuicConnection } from '../../src/transport/quic/quic-connection.js';

/** A session whose thread has ended, before the engine says so. */
class EndedSession extends EventEmitter {
  ping(): boolean {
    throw new Error('invalid state: quic client not running');
  }

  async close(): Promise<void> {}
}

test('a keepalive on a connection whose thread has ended closes it, and does not throw', () => {
  const session = new EndedSession() as unknown as ConstructorParameters<typeof QuicConnection>[0];
  const shown = { serverCertificateSha256: Buffer.alloc(32) };
  const connection = new QuicConnection(session, { address: '127.0.0.1', port: 1 }, shown);
  const reasons: string[] = [];
  connection.onClose(({ message }) => reasons.push(message));
  connection.keepAlive();
  connection.keepAlive();
  assert.deepEqual(reasons, ['invalid state: quic client not running']);
});
