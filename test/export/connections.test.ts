/** Connections as the export is handed them, made by hand. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Clock } from '../../src/clock.js';
import { CONNECTIONS_MAX, REFUSAL_LOG_INTERVAL_MS } from '../../src/limits.js';
import type { CloseReason, Connection, Listener } from '../../src/transport/transport.js';
import { newExport, noting } from './support.js';

/** A connection on which nothing comes, from the start or until it is closed. */
function silent(state: 'open' | 'ended' = 'open'): Connection {
  const handlers: ((reason: CloseReason) => void)[] = [];
  return {
    transport: 'memory',
    peer: { address: '192.0.2.1', port: 1 },
    openStream: () => assert.fail('an export opens no streams'),
    onStream() {},
    onClose(handler) {
      if (state === 'ended') handler({ message: 'gone before' });
      else handlers.push(handler);
    },
    close(message) {
      for (const handler of handlers.splice(0)) handler({ message });
    },
    keepAlive() {},
  };
}

/** An export with a clock that stands still, and a way to hand it connections. */
function handing(t: TestContext) {
  const time = { nowMs: 0 };
  const clock: Clock = {
    nowMs: () => time.nowMs,
    endOfTurn: setImmediate,
    after: () => ({ cancel() {} }),
  };
  const lines: { details: unknown; line: unknown }[] = [];
  const decided = { count: 0 };
  const handed: Connection[] = [];
  // Before the export ends, which waits for them and for no clock.
  t.after(() => {
    for (const connection of handed) connection.close('the test is over');
  });
  const { server } = newExport(t, {
    clock,
    log: noting(lines),
    gate: {
      decide: () => {
        decided.count++;
        return { kind: 'admitted', permission: 'rw' };
      },
      chargeProof: () => true,
      refundProof() {},
      mayTell: () => true,
    },
  });
  let hand: (connection: Connection) => void = () => assert.fail('nobody listens');
  const listener: Listener = {
    address: { address: '192.0.2.2', port: 1 },
    transport: 'memory',
    onConnection: (handler) => {
      hand = handler;
    },
    close: async () => {},
  };
  server.attach(listener);
  return {
    server,
    lines,
    time,
    decided,
    hand(connection: Connection) {
      handed.push(connection);
      hand(connection);
    },
  };
}

test('a connection that has ended when it is handed over is not kept', (t) => {
  const { server, hand } = handing(t);
  hand(silent('ended'));
  assert.equal(server.connections, 0);
});

test('a full export counts who comes, and says so once in a while', (t) => {
  const { server, hand, lines, time, decided } = handing(t);
  for (let i = 0; i < CONNECTIONS_MAX + 2; i++) hand(silent());
  assert.equal(server.connections, CONNECTIONS_MAX);
  assert.equal(decided.count, CONNECTIONS_MAX + 2, 'the address of each has paid for it');
  assert.equal(lines.length, 1);
  time.nowMs += REFUSAL_LOG_INTERVAL_MS;
  hand(silent());
  assert.equal(lines.length, 2);
});
