/**
 * Stalls of the QUIC engine that no transport can end, so that the session must: each
 * transaction has a deadline, and past it a new connection is dialled. As in
 * engine-defects.test.ts, a failure here says that the engine has changed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialQuic } from '../../src/transport/quic/dial.js';
import { until } from '../support/wait.js';
import { certificatesFor, quicListener } from './fixtures.js';
import { udpRelay } from './udp-relay.js';

const SHRUNK_PACKET_BYTES_MAX = 1_300;
const STALLED_FOR_MS = 1_500;

test('what is sent after the path’s MTU has shrunk is lost, until a new connection (C10)', async (t) => {
  const { identity, pin: trust } = await certificatesFor(t, ['export.test']);
  const listener = await quicListener(t, identity);
  listener.onConnection((connection) => {
    connection.onStream((stream) => stream.onData((chunk) => stream.write([chunk])));
  });
  const relay = await udpRelay(t, listener.address.port);
  const block = Buffer.alloc(256 * 1024);
  const connect = async () => {
    const connection = await dialQuic({ host: '127.0.0.1', port: relay.port, trust });
    t.after(() => connection.close('the test is over'));
    const stream = connection.openStream();
    const echo = { bytes: 0, send: () => stream.write([block]) };
    stream.onData((chunk) => {
      echo.bytes += chunk.length;
    });
    return echo;
  };

  const first = await connect();
  first.send();
  await until(() => first.bytes === block.length, 'the echo');
  relay.packetBytesMax = SHRUNK_PACKET_BYTES_MAX;
  first.send();
  const sentMs = performance.now();
  await until(() => performance.now() > sentMs + STALLED_FOR_MS, 'the stall');
  assert.ok(first.bytes < 2 * block.length);

  // What the session does then.
  const second = await connect();
  second.send();
  await until(() => second.bytes === block.length, 'the echo on a new connection');
});
