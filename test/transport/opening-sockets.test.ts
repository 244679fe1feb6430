import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { OpeningSockets } from '../../src/transport/webtransport/opening-sockets.js';
import { soon, until } from '../support/wait.js';

const LOOPBACK = '127.0.0.1';
const LONG_MS = 60_000;

/** A way to connect to a listener that hands its sockets to these. */
async function openingTo(t: TestContext, opening: OpeningSockets): Promise<() => Promise<Socket>> {
  const server = createServer((socket) => opening.add(socket));
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  t.after(() => {
    opening.destroyAll();
    server.close();
  });
  return async () => {
    const arrived = once(server, 'connection');
    const socket = connect((server.address() as AddressInfo).port, LOOPBACK);
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    await soon(arrived, 'the connection');
    return socket.resume();
  };
}

test('one that takes too long is ended', async (t) => {
  const opening = new OpeningSockets({ max: 10, timeoutMs: 20 });
  const open = await openingTo(t, opening);
  await soon(once(await open(), 'close'), 'the end');
  await until(() => opening.count === 0, 'the end of the account');
});

test('past the bound the oldest gives way', async (t) => {
  const opening = new OpeningSockets({ max: 2, timeoutMs: LONG_MS });
  const open = await openingTo(t, opening);
  const first = await open();
  const ended = once(first, 'close');
  const others = [await open(), await open()];
  await soon(ended, 'the end of the first');
  assert.equal(opening.count, 2);
  assert.ok(others.every((socket) => !socket.destroyed));
});

test('one that has opened is counted no more, and is left alone', async (t) => {
  const opening = new OpeningSockets({ max: 1, timeoutMs: LONG_MS });
  const open = await openingTo(t, opening);
  const first = await open();
  opening.opened({ remoteAddress: first.localAddress, remotePort: first.localPort });
  assert.equal(opening.count, 0);
  await open();
  assert.equal(opening.count, 1);
  assert.equal(first.destroyed, false);
});
