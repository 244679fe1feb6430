/** What a router makes of the news of its connections: which transport goes first the next time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DIAL_ATTEMPT_TIMEOUT_MS } from '../../src/limits.js';
import { FakeConnection } from './fake-transport.js';

import { RouterWorld, SWIFT_MS } from './router-world.js';

test('QUIC that connects and is not answered gives way each other time', async () => {
  const world = new RouterWorld();
  await world.connect();
  const transports: string[] = [];
  for (let attempt = 0; attempt < 4; attempt++) {
    const { connection } = await world.greet(DIAL_ATTEMPT_TIMEOUT_MS);
    transports.push(connection.transport);
  }
  assert.deepEqual(transports, ['quic', 'webtransport', 'quic', 'webtransport']);
});

test('a connection that says no HELLO changes nothing about who goes first', async () => {
  const world = new RouterWorld();
  await world.connect();
  for (let attempt = 0; attempt < 3; attempt++) {
    assert.equal((await world.dial(DIAL_ATTEMPT_TIMEOUT_MS)).connection.transport, 'quic');
  }
});

test('QUIC that refuses gives way, and WebTransport is kept with that reason', async () => {
  const world = new RouterWorld();
  await world.router.heard((await world.greet()).connection, 'denied');
  await world.connect();
  assert.equal(world.route, 'webtransport over HTTP/2 (the export refused this client over QUIC)');
  assert.equal(world.router.current?.reason, 'quic-denied');
  assert.equal(world.router.fellBack, true);
});

test('QUIC over which an export is busy, as it would be over any other, stays first', async () => {
  const world = new RouterWorld();
  await world.router.heard((await world.greet()).connection, 'answered');
  assert.equal((await world.greet()).connection.transport, 'quic');
});

test('a session that is refused over QUIC stays fallen back', async () => {
  const world = new RouterWorld({ quic: 'none' });
  await world.use();
  const probed = new FakeConnection('quic');
  world.router.offer(probed);
  await world.greet();
  await world.router.heard(probed, 'denied');
  assert.equal(world.router.fellBack, true);
  assert.equal(world.router.current?.transport, 'webtransport');
  world.quic.answer = SWIFT_MS;
  assert.equal((await world.connect()).connection.transport, 'webtransport');
});

test('QUIC that is welcomed and of no use gives way the second time', async () => {
  const world = new RouterWorld();
  await world.use();
  const transports: string[] = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    const { connection } = await world.useInVain(DIAL_ATTEMPT_TIMEOUT_MS);
    transports.push(connection.transport);
  }
  assert.deepEqual(transports, ['quic', 'quic', 'webtransport']);
  assert.equal(world.router.current?.reason, 'quic-unanswered');
});

test('one transaction answered, and it counts anew', async () => {
  const world = new RouterWorld();
  for (let round = 0; round < 3; round++) {
    assert.equal((await world.useInVain()).connection.transport, 'quic');
    assert.equal((await world.use()).connection.transport, 'quic');
  }
});

test('WebTransport that is of no use gives way to QUIC in turn', async () => {
  const world = new RouterWorld({ quic: 'none' });
  await world.use();
  world.quic.answer = SWIFT_MS;
  await world.useInVain();
  assert.equal((await world.useInVain()).connection.transport, 'webtransport');
  assert.equal((await world.use()).connection.transport, 'quic');
});

test('QUIC to which a probe leads, and which is of no use, gives way at once', async () => {
  const world = new RouterWorld({ quic: 'none' });
  await world.use();
  world.quic.answer = SWIFT_MS;
  world.router.offer(new FakeConnection('quic'));
  assert.equal((await world.useInVain()).connection.transport, 'quic');
  assert.equal((await world.use()).connection.transport, 'webtransport');
  assert.equal(world.router.current?.reason, 'quic-unanswered');
  assert.equal(world.silent, true, 'and what is remembered stays');
});

test('WebTransport that answers after QUIC did not is kept, with that reason', async () => {
  const world = new RouterWorld();
  await world.greet();
  await world.connect();
  assert.equal(world.route, 'webtransport over HTTP/2 (the export did not answer over QUIC)');
  assert.equal(world.router.current?.reason, 'quic-unanswered');
  assert.equal((await world.dial()).connection.transport, 'webtransport');
});
