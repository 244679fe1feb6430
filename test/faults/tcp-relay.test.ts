/** The relay of TCP connections does what it is told, and counts it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { soon, until } from '../support/wait.js';
import { TcpRelay } from './tcp-relay.js';

const HOST = '127.0.0.1';

interface Ends {
  readonly client: Socket;
  readonly server: Socket;
}

// Side by side, since most of the time goes by in waiting.
describe('the TCP relay', { concurrency: 4 }, () => {
  test('passes bytes both ways, and the end of them', async (t) => {
    const { relay, connect } = await start(t);
    const { client, server } = await connect();
    client.write('question');
    assert.equal(await said(server), 'question');
    server.write('answer');
    assert.equal(await said(client), 'answer');
    assert.equal(relay.connectionsAlive(10_000), 1);
    client.end('the last');
    assert.equal(await said(server), 'the last');
    for (const socket of [server, client]) socket.resume();
    await soon(once(client, 'close'), 'the close');
    await until(() => relay.connectionsAlive(10_000) === 0, 'the end of the relayed connection');
  });

  test('holds more than a window back from a reader that takes its time', async (t) => {
    const { connect } = await start(t);
    const { client, server } = await connect();
    const bytes = Buffer.alloc(32 * 2 ** 20, 'a window is less');
    server.pause();
    client.end(bytes);
    await until(() => server.readableLength > 0, 'the first bytes');
    assert.ok(client.writableLength > 0);
    const received = await soon(server.toArray(), 'all bytes');
    assert.ok(Buffer.concat(received).equals(bytes));
  });

  test('holds everything while it is down, and sends it again some time after', async (t) => {
    const { relay, connect } = await start(t);
    const { client, server } = await connect();
    relay.set({ down: true });
    client.write('held');
    await until(() => relay.counters.cut === 2, 'a second copy is lost');
    assert.equal(server.readableLength, 0);
    relay.heal();
    const healedMs = performance.now();
    assert.equal(await said(server), 'held');
    // The second copy is given 400 ms.
    assert.ok(performance.now() - healedMs > 300, 'the third copy came too soon');
  });

  test('makes a connection only once it is up', async (t) => {
    const { relay, connect } = await start(t);
    relay.set({ down: true });
    const connecting = connect();
    await until(() => relay.counters.cut === 1, 'a request to connect is lost');
    relay.heal();
    await connecting;
    assert.equal(relay.counters.cut, 1);
  });

  test('delays what is lost, and nothing comes out of order', async (t) => {
    const { relay, connect } = await start(t);
    const { client, server } = await connect();
    const sent = Array.from({ length: 20 }, (_, i) => `${i},`);
    for (const [i, piece] of sent.entries()) {
      relay.set({ lossShare: i % 2 === 0 ? 1 : 0, jitterMs: 5 });
      client.write(piece);
      if (i === 0) await until(() => relay.counters.lost > 0, 'a loss');
      else await new Promise(setImmediate);
    }
    client.end();
    // What is lost again and again takes longer each time.
    relay.heal();
    assert.equal(Buffer.concat(await soon(server.toArray(), 'all')).toString(), sent.join(''));
    assert.ok(relay.counters.lost > 0);
  });

  test('flips one bit', async (t) => {
    const { relay, connect } = await start(t);
    const { client, server } = await connect();
    relay.set({ corruptShare: 1 });
    client.write(Buffer.alloc(1));
    const [damaged = 0] = Buffer.from(await said(server), 'latin1');
    assert.ok(damaged > 0 && Number.isInteger(Math.log2(damaged)), `${damaged}`);
    assert.equal(relay.counters.corrupted, 1);
  });

  test('resets connections', async (t) => {
    const { relay, connect } = await start(t);
    const { client, server } = await connect();
    const resets = Promise.all([client, server].map((socket) => once(socket, 'error')));
    relay.rebind();
    for (const [error] of await soon(resets, 'the resets')) assert.equal(error.code, 'ECONNRESET');
    assert.equal(relay.counters.rebindings, 1);
  });

  test('lets connections go dead, and makes new ones', async (t) => {
    const { relay, connect } = await start(t);
    const dead = await connect();
    relay.forget();
    dead.client.end('nobody hears it');
    dead.server.end();
    const living = await connect();
    living.client.write('heard');
    assert.equal(await said(living.server), 'heard');
    for (const socket of [dead.client, dead.server]) {
      assert.equal(socket.readableLength, 0);
      assert.equal(socket.readableEnded, false);
    }
    assert.equal(relay.counters.rebindings, 1);
  });

  test('tells a client that nothing listens', async (t) => {
    const { relay, connect, close } = await start(t);
    await connect();
    close();
    const client = createConnection(relay.port, HOST);
    const [error] = await soon(once(client, 'error'), 'the refusal');
    assert.equal(error.code, 'ECONNRESET');
  });
});

async function start(t: TestContext) {
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    ends(socket, t);
    accepted.push(socket);
  });
  t.after(() => server.close());
  server.listen(0, HOST);
  await once(server, 'listening');
  const relay = await TcpRelay.start(t, (server.address() as AddressInfo).port);
  const connect = async (): Promise<Ends> => {
    const client = createConnection(relay.port, HOST);
    ends(client, t);
    await until(() => accepted.length > 0, 'the connection');
    const [socket] = accepted.splice(0);
    assert.ok(socket !== undefined);
    return { client, server: socket };
  };
  return { relay, connect, close: () => server.close() };
}

/** It ends with the test, and may do so by an error. */
function ends(socket: Socket, t: TestContext): void {
  socket.on('error', () => {});
  t.after(() => socket.destroy());
}

/** The next bytes. */
async function said(socket: Socket): Promise<string> {
  const data = once(socket, 'data');
  socket.resume();
  const [bytes] = await soon(data, 'bytes');
  socket.pause();
  return bytes.toString('latin1');
}
