import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext, test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import type { Payload } from '../../src/block/payload.js';
import { NBD_RECEIVE_BYTES } from '../../src/limits.js';
import { NBD_CMD_WRITE } from '../../src/nbd/constants.js';
import { type Incoming, incomingFrom, type Taker } from '../../src/nbd/incoming.js';
import { Random } from '../simulation/random.js';
import { soon, until } from '../support/wait.js';
import {
  RawClient,
  requestHeader,
  ScriptedDevice,
  startBridge,
  temporaryFolder,
} from './support.js';

/** Writes down what it takes; `room` is where the next bytes are to go. */
class Notes implements Taker {
  room: Buffer | undefined;
  text = '';
  inPlaceBytes = 0;
  onReceive = () => {};

  filled(lengthBytes: number): void {
    this.text += this.room?.toString('latin1', 0, lengthBytes);
    this.inPlaceBytes += lengthBytes;
    this.room = this.room?.subarray(lengthBytes);
    if (this.room?.length === 0) this.room = undefined;
  }

  receive(chunk: Buffer): void {
    this.text += chunk.toString('latin1');
    this.onReceive();
  }
}

/** A client, and its connection as the server took it over; `spoil` is shown what it accepted. */
async function connectOne(
  t: TestContext,
  taker: Taker,
  spoil: (accepted: Socket) => void = () => {},
): Promise<{ client: Socket; incoming: Incoming }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const path = join(await temporaryFolder(t), 's');
  server.listen(path);
  await once(server, 'listening');
  const accepted = new Promise<Incoming>((resolve) => {
    server.on('connection', (socket) => {
      spoil(socket);
      const incoming = incomingFrom(socket);
      incoming.deliverTo(taker);
      resolve(incoming);
    });
  });
  const client = createConnection({ path, allowHalfOpen: true });
  t.after(() => client.destroy());
  const incoming = await soon(accepted, 'the connection');
  t.after(() => incoming.socket.destroy());
  server.close();
  return { client, incoming };
}

/** As if Node had no way to read into buffers that it is given. */
function withoutBuffers(accepted: Socket): void {
  const { _handle } = accepted as unknown as { _handle: object };
  Object.defineProperty(_handle, 'useUserBuffer', { value: undefined });
}

for (const [how, spoil] of [
  ['taken over', undefined],
  ['as Node gives it', withoutBuffers],
] as const) {
  describe(`a connection ${how}`, () => {
    it('carries bytes both ways, and those of the other way after its client has ended', async (t) => {
      const notes = new Notes();
      const { client, incoming } = await connectOne(t, notes, spoil);
      const ended = once(incoming.socket, 'end');
      client.end('request');
      await soon(ended, 'the end');
      assert.equal(notes.text, 'request');
      incoming.socket.end('reply');
      assert.equal(String((await soon(once(client, 'data'), 'the reply'))[0]), 'reply');
    });

    it('leaves a chunk alone, and brings nothing, while it is paused', async (t) => {
      const notes = new Notes();
      const { client, incoming } = await connectOne(t, notes, spoil);
      notes.onReceive = () => incoming.socket.pause();
      client.write('first');
      await until(() => notes.text === 'first', 'the first chunk');
      await new Promise<void>((resolve) => client.write('second', () => resolve()));
      await new Promise(setImmediate);
      assert.equal(notes.text, 'first');
      incoming.socket.resume();
      await until(() => notes.text === 'firstsecond', 'the second chunk');
    });
  });
}

test('bytes land where there is room for them, and no more than that', async (t) => {
  const notes = new Notes();
  notes.onReceive = () => {
    notes.room = Buffer.alloc(100);
  };
  const { client } = await connectOne(t, notes);
  const text = 'x'.repeat(NBD_RECEIVE_BYTES) + 'y'.repeat(100) + 'z'.repeat(10);
  client.write(text);
  await until(() => notes.text.length === text.length, 'all bytes');
  assert.equal(notes.text, text);
  assert.ok(notes.inPlaceBytes >= 100, `${notes.inPlaceBytes}`);
});

test('writes of all sizes arrive as they were sent', async (t) => {
  const device = new MemoryDevice(16 * 1024 * 1024);
  const { path } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  const random = new Random(7);
  const expected = Buffer.alloc(16 * 1024 * 1024);
  for (let i = 0; i < 60; i++) {
    const lengthBytes = 1 + random.below(2 ** (1 + random.below(19)));
    const offset = random.below(expected.length - lengthBytes);
    expected.fill(i, offset, offset + lengthBytes);
    client.send(requestHeader(NBD_CMD_WRITE, { offset, lengthBytes }));
    client.send(Buffer.alloc(lengthBytes, i));
  }
  await client.skip(60 * 16);
  const { pieces } = await device.read(0, expected.length);
  assert.ok(Buffer.concat(pieces as Buffer[]).equals(expected));
});

test('memory of a write that was made is used again, and not that of one that failed', async (t) => {
  const used: ArrayBufferLike[] = [];
  const device = new ScriptedDevice();
  const write = device.write.bind(device);
  device.write = (offset: number, payload: Payload, flags: object) => {
    used.push(...payload.pieces.map(({ buffer }) => buffer));
    return write(offset, payload, flags);
  };
  const { path } = await startBridge(t, device);
  const client = await RawClient.ready(t, path);
  for (const failure of [undefined, new Error('no'), undefined]) {
    client.send(requestHeader(NBD_CMD_WRITE, { lengthBytes: 4096 }), Buffer.alloc(4096));
    await until(() => device.waiting.length === 1, 'the write');
    const [command] = device.waiting.splice(0);
    if (failure === undefined) command?.resolve();
    else command?.reject(failure);
    await client.takeSimpleReply();
  }
  assert.equal(used.length, 3);
  assert.equal(used[1], used[0]);
  assert.notEqual(used[2], used[0]);
});
