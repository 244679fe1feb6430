import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialQuic } from '../../src/transport/quic/dial.js';
import { certificatesFor, quicListener } from './fixtures.js';
import { udpRelay } from './udp-relay.js';

/** The first byte of a Retry: long header, fixed bit, type 3 (RFC 9000, 17.2.5). */
const RETRY_BITS = 0xf0;

test('the export has each client prove its address before it keeps anything of it', async (t) => {
  const { identity, pin } = await certificatesFor(t, ['127.0.0.1']);
  const { port } = (await quicListener(t, identity)).address;
  const answers: number[] = [];
  const relay = await udpRelay(t, port, (packet) => answers.push(packet[0] ?? 0));
  const connection = await dialQuic({ host: '127.0.0.1', port: relay.port, trust: pin });
  connection.close('seen');
  assert.equal((answers[0] ?? 0) & RETRY_BITS, RETRY_BITS);
});
