import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { Stream } from '../../src/transport/transport.js';
import { soon, until } from '../support/wait.js';
import { connectedPair, failsWith, TRANSPORTS } from './fixtures.js';

const MIB = 1024 * 1024;

/** Collects what arrives on a stream until there is as much as is wanted. */
function receive(stream: Stream, lengthBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let receivedBytes = 0;
  return soon(
    new Promise((resolve) => {
      stream.onData((chunk) => {
        chunks.push(chunk);
        receivedBytes += chunk.length;
        if (receivedBytes >= lengthBytes) resolve(Buffer.concat(chunks));
      });
    }),
    `${lengthBytes} bytes`,
  );
}

for (const transport of TRANSPORTS) {
  const { name, skip = false } = transport;

  test(`${name}: bytes arrive in order, whatever the pieces`, { skip }, async (t) => {
    const { client, server } = await connectedPair(t, transport);
    const incoming = new Promise<Stream>((resolve) => server.onStream(resolve));
    const stream = client.openStream();
    const sent: Buffer[] = [];
    for (let i = 0; i < 500; i++) {
      const pieces = [1, i * 7, 3].map((lengthBytes) => Buffer.alloc(lengthBytes, i));
      sent.push(...pieces);
      stream.write(pieces);
    }
    const all = Buffer.concat(sent);
    const received = await receive(await soon(incoming, 'the stream'), all.length);
    assert.ok(received.equals(all));
  });

  test(`${name}: streams carry bytes both ways`, { skip }, async (t) => {
    const { client, server } = await connectedPair(t, transport);
    server.onStream((stream) => stream.onData((chunk) => stream.write([chunk])));
    const stream = client.openStream();
    const echo = receive(stream, 5);
    stream.write([Buffer.from('hello')]);
    assert.equal((await echo).toString(), 'hello');
  });

  test(`${name}: 64 MiB over 32 streams at once arrive whole`, { skip }, async (t) => {
    const STREAMS = 32;
    const EACH_BYTES = 2 * MIB;
    const { client, server } = await connectedPair(t, transport);
    const received: Promise<string>[] = [];
    server.onStream((stream) => {
      received.push(
        receive(stream, EACH_BYTES).then((bytes) => createHash('sha1').update(bytes).digest('hex')),
      );
    });
    const expected: string[] = [];
    for (let i = 0; i < STREAMS; i++) {
      const bytes = Buffer.alloc(EACH_BYTES, `stream ${i} `);
      expected.push(createHash('sha1').update(bytes).digest('hex'));
      client.openStream().write([bytes.subarray(0, MIB + i), bytes.subarray(MIB + i)]);
    }
    await until(() => received.length === STREAMS, 'the streams');
    assert.deepEqual((await Promise.all(received)).sort(), expected.sort());
  });

  test(`${name}: writes from within a data handler go on past backpressure`, {
    skip,
  }, async (t) => {
    const ROUND_BYTES = 8 * MIB;
    const { client, server } = await connectedPair(t, transport);
    server.onStream((stream) => stream.onData((chunk) => stream.write([chunk])));
    const stream = client.openStream();
    for (let round = 0; round < 2; round++) {
      const bytes = Buffer.alloc(ROUND_BYTES, `round ${round}`);
      const echo = receive(stream, ROUND_BYTES);
      stream.write([bytes]);
      assert.ok((await echo).equals(bytes));
    }
  });

  test(`${name}: what arrives before a handler is set is kept for it`, { skip }, async (t) => {
    const { client, server } = await connectedPair(t, transport);
    let echoed = 0;
    server.onStream((stream) => {
      echoed++;
      stream.write([Buffer.from('early')]);
    });
    const stream = client.openStream();
    stream.write([Buffer.from('x')]);
    await until(() => echoed === 1, 'the stream');
    // Another stream's answer shows that this one's has long come.
    const second = client.openStream();
    const answer = receive(second, 5);
    second.write([Buffer.from('y')]);
    await answer;
    assert.equal((await receive(stream, 5)).toString(), 'early');
  });

  test(`${name}: taken is called when the bytes have been copied`, { skip }, async (t) => {
    const { client, server } = await connectedPair(t, transport);
    const incoming = new Promise<Stream>((resolve) => server.onStream(resolve));
    const stream = client.openStream();
    const bytes = Buffer.alloc(6 * MIB, 'a');
    const taken = new Promise<void>((resolve) => stream.write([bytes], resolve));
    const received = receive(await soon(incoming, 'the stream'), bytes.length);
    await soon(taken, 'taken');
    assert.equal(stream.queuedBytes, 0);
    bytes.fill('b');
    assert.ok((await received).every((byte) => byte === 'a'.charCodeAt(0)));
  });

  test(`${name}: taken is called too when the connection ends, and after it`, {
    skip,
  }, async (t) => {
    const { client } = await connectedPair(t, transport);
    const stream = client.openStream();
    let taken = 0;
    for (let i = 0; i < 10; i++) stream.write([Buffer.alloc(4 * MIB)], () => taken++);
    client.close('enough');
    await until(() => taken === 10, 'the writes');
    stream.write([Buffer.alloc(1)], () => taken++);
    await until(() => taken === 11, 'the last write');
    assert.equal(stream.queuedBytes, 0);
  });

  for (const side of ['client', 'server'] as const) {
    test(`${name}: a close by the ${side} is told once on each side`, { skip }, async (t) => {
      const pair = await connectedPair(t, transport);
      const told = { client: 0, server: 0 };
      pair.client.onClose(() => told.client++);
      pair.server.onClose(() => told.server++);
      pair[side].close('for a reason');
      pair[side].close('again');
      await until(() => told.client > 0 && told.server > 0, 'the close');
      pair.client.close('after it');
      pair.server.close('after it');
      await new Promise(setImmediate);
      assert.deepEqual(told, { client: 1, server: 1 });
    });
  }

  test(`${name}: who asks after the end is told at once`, { skip }, async (t) => {
    const { client } = await connectedPair(t, transport);
    client.close('for a reason');
    let message = '';
    client.onClose((reason) => {
      message = reason.message;
    });
    assert.equal(message, 'for a reason');
  });

  test(`${name}: the reason of a close reaches the other side`, { skip }, async (t) => {
    const { client, server } = await connectedPair(t, transport);
    const heard = new Promise<string>((resolve) => {
      client.onClose(({ message }) => resolve(message));
    });
    server.close('the export is tired');
    assert.match(await soon(heard, 'the close'), /the export is tired/);
  });

  test(`${name}: no stream is opened on a connection that has ended`, { skip }, async (t) => {
    const { client } = await connectedPair(t, transport);
    client.close('done');
    assert.throws(() => client.openStream(), failsWith('DST_E_CONNECTION_LOST'));
    client.keepAlive();
  });

  test(`${name}: streams have numbers of their own, and both ends know the transport`, {
    skip,
  }, async (t) => {
    const { client, server } = await connectedPair(t, transport);
    const ids = new Set(Array.from({ length: 10 }, () => client.openStream().id));
    assert.equal(ids.size, 10);
    assert.equal(client.transport, transport.transport);
    assert.equal(server.transport, transport.transport);
    assert.ok(server.peer.port > 0);
  });

  test(`${name}: connections do not disturb each other`, { skip }, async (t) => {
    const { listener, dial } = await transport.start(t);
    listener.onConnection((connection) => {
      connection.onStream((stream) => stream.onData((chunk) => stream.write([chunk])));
    });
    const [one, two] = await Promise.all([dial(), dial()]);
    one.close('enough');
    const stream = two.openStream();
    const echo = receive(stream, 2);
    stream.write([Buffer.from('ok')]);
    assert.equal((await echo).toString(), 'ok');
  });
}
