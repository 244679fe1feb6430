import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { QuicServer } from '@currentspace/http3';
import { CLOSE_REASON_BYTES_MAX } from '../../src/limits.js';
import { onHandshakeFailure } from '../../src/transport/quic/handshake-failures.js';

const CERTIFICATE_UNKNOWN = 0x100 + 46;

/** What is told of a client whose connection ends in its handshake with these words. */
function toldOf(reason: string): string | undefined {
  const session = Object.assign(new EventEmitter(), { remoteAddress: '192.0.2.7', remotePort: 7 });
  const engine = Object.assign(new EventEmitter(), {
    _onNewSession() {},
    _sessions: new Map([[1, session]]),
  });
  const told: string[] = [];
  onHandshakeFailure(engine as unknown as QuicServer, (_peer, why) => told.push(why));
  (engine._onNewSession as (event: object) => void)({ connHandle: 1 });
  session.emit('close', { errorCode: CERTIFICATE_UNKNOWN, reason });
  return told[0];
}

test('without words the alert is told', () => {
  assert.equal(toldOf(''), 'TLS alert 46 (certificate unknown)');
});

test('the words of a stranger become one short line', () => {
  const forged = 'no\n[12:00:00] INFO: backup attached\u001b[2J';
  assert.equal(toldOf(forged), 'no [12:00:00] INFO: backup attached [2J');
  assert.equal(toldOf('x'.repeat(1_000))?.length, CLOSE_REASON_BYTES_MAX);
});
