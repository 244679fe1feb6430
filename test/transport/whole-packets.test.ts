import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { socketOptions } from '../../src/socket-options.js';
import { dialQuic } from '../../src/transport/quic/dial.js';
import { soon } from '../support/wait.js';
import { certificatesFor, quicListener } from './fixtures.js';

const SOCK_DGRAM = 2;
/** IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, with their levels. */
const MTU_DISCOVER = [
  [0, 10],
  [41, 23],
] as const;
const PMTUDISC_PROBE = 3;

const { get: option } = await socketOptions();

/** This process's sockets for datagrams, and whether the kernel may cut what they send. */
function datagramSockets(): { fd: number; whole: boolean }[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => option(fd, 1, 3) === SOCK_DGRAM)
    .map((fd) => {
      const settings = MTU_DISCOVER.map(([level, name]) => option(fd, level, name));
      const known = settings.filter((setting) => setting !== undefined);
      return { fd, whole: known.every((setting) => setting === PMTUDISC_PROBE) };
    });
}

for (const host of ['127.0.0.1', '::1']) {
  test(`packets of either end are not cut: ${host}`, async (t) => {
    const { identity, authority } = await certificatesFor(t, [host]);
    const listener = await quicListener(t, identity, host);
    const connection = await dialQuic({ host, port: listener.address.port, trust: authority });
    t.after(() => connection.close('seen'));
    const sockets = datagramSockets();
    assert.ok(sockets.length >= 2, `${sockets.length} sockets`);
    assert.deepEqual(
      sockets.filter(({ whole }) => !whole),
      [],
    );
  });
}

test('they are not from the first one on, before the other end has answered', async (t) => {
  const { authority } = await certificatesFor(t, ['127.0.0.1']);
  const silent = createSocket('udp4');
  t.after(() => silent.close());
  silent.bind(0, '127.0.0.1');
  await once(silent, 'listening');
  const stop = new AbortController();
  const before = new Set(datagramSockets().map(({ fd }) => fd));
  const dialling = dialQuic({
    ...{ host: '127.0.0.1', port: silent.address().port, trust: authority },
    signal: stop.signal,
  });
  const sent = new Promise<void>((resolve) => {
    // What is smaller asks whether somebody listens.
    silent.on('message', ({ length }) => length >= 1200 && resolve());
  });
  await soon(sent, 'the first packet');
  await new Promise(setImmediate);
  const whole = datagramSockets().filter((socket) => !before.has(socket.fd) && socket.whole);
  stop.abort();
  await assert.rejects(dialling);
  assert.ok(whole.length >= 1);
});
