/** The relay of datagrams does what it is told, and counts it. */
import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, type TestContext, test } from 'node:test';
import { until } from '../support/wait.js';
import { ETHERNET_UDP_BYTES, UdpRelay } from './udp-relay.js';

const PACKETS = 200;

describe('the UDP relay', () => {
  test('passes packets both ways', async (t) => {
    const { relay, client, server } = await start(t);
    client.send('question', relay.port, '127.0.0.1');
    const [question, from] = await message(server);
    assert.equal(question.toString(), 'question');
    server.send('answer', from.port, from.address);
    assert.equal((await message(client))[0].toString(), 'answer');
    assert.equal(relay.counters.passed, 2);
    assert.equal(relay.connectionsAlive(10_000), 1);
  });

  test('sends from another port after a rebinding', async (t) => {
    const { relay, client, server } = await start(t);
    client.send('before', relay.port, '127.0.0.1');
    const [, before] = await message(server);
    relay.rebind();
    client.send('after', relay.port, '127.0.0.1');
    const [, after] = await message(server);
    assert.notEqual(after.port, before.port);
    assert.equal(relay.counters.rebindings, 1);
  });

  test('loses everything while it is down, and what is too large always', async (t) => {
    const { relay, client, server } = await start(t);
    relay.set({ down: true });
    client.send('lost', relay.port, '127.0.0.1');
    await until(() => relay.counters.cut === 1, 'a packet is cut');
    relay.set({ down: false });
    client.send(Buffer.alloc(ETHERNET_UDP_BYTES + 1), relay.port, '127.0.0.1');
    await until(() => relay.counters.tooLarge === 1, 'a packet is too large');
    client.send('passed', relay.port, '127.0.0.1');
    assert.equal((await message(server))[0].toString(), 'passed');
  });

  test('flips one bit of a damaged packet', async (t) => {
    const { relay, client, server } = await start(t);
    relay.set({ corruptShare: 1 });
    client.send(Buffer.alloc(100), relay.port, '127.0.0.1');
    const [damaged] = await message(server);
    const set = [...damaged].filter((byte) => byte !== 0);
    assert.equal(set.length, 1);
    assert.ok(Number.isInteger(Math.log2(set[0] ?? 0)), `${set}`);
    assert.equal(relay.counters.corrupted, 1);
  });

  test('loses, doubles and reorders about as many as it is told', async (t) => {
    const { relay, client, server } = await start(t);
    let arrived = 0;
    server.on('message', () => arrived++);
    relay.set({ lossShare: 0.5, duplicateShare: 0.5, delayMs: 10, jitterMs: 10 });
    const { counters } = relay;
    for (let i = 0; i < PACKETS; i++) client.send(`${i}`, relay.port, '127.0.0.1');
    await until(
      () => arrived > 0 && arrived + counters.lost - counters.duplicated === PACKETS,
      'all that is not lost arrives',
    );
    for (const count of [counters.lost, counters.duplicated, counters.reordered]) {
      assert.ok(count > PACKETS / 10, JSON.stringify(counters));
    }
  });
});

async function start(t: TestContext): Promise<{ relay: UdpRelay; client: Socket; server: Socket }> {
  const [client, server] = await Promise.all([bound(t), bound(t)]);
  const relay = await UdpRelay.start(t, server.address().port);
  return { relay, client, server };
}

async function bound(t: TestContext): Promise<Socket> {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

async function message(socket: Socket): Promise<[Buffer, RemoteInfo]> {
  const [bytes, from] = await once(socket, 'message', { signal: AbortSignal.timeout(10_000) });
  return [bytes, from];
}
