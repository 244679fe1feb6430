/** Requests that the kernel has sent, and nobody has read, when it gives a connection up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  KERNEL_LINK_CHECK_INTERVAL_MS,
  NBD_BRIDGE_BYTES_IN_FLIGHT_MAX,
} from '../../../src/limits.js';
import { NBD_CMD_DISC, NBD_CMD_READ, NBD_CMD_WRITE } from '../../../src/nbd/constants.js';
import type { KernelAttachment } from '../../../src/nbd/kernel/attachment.js';
import { pass } from '../../support/virtual-time.js';
import { soon, until } from '../../support/wait.js';
import type { ScriptedDevice } from '../support.js';
import { setUp } from './attached.js';
import type { KernelSocket } from './fake-kernel.js';

const BLOCK_BYTES = 4096;

function sendWrite(socket: KernelSocket): void {
  socket.send(NBD_CMD_WRITE, { lengthBytes: BLOCK_BYTES }, Buffer.alloc(BLOCK_BYTES));
}

/** Fills the only connection's room with reads, and puts a write behind them. */
async function fillRoom(socket: KernelSocket, device: ScriptedDevice): Promise<void> {
  const reads = 10;
  for (let i = 0; i < reads; i++) {
    socket.send(NBD_CMD_READ, { lengthBytes: NBD_BRIDGE_BYTES_IN_FLIGHT_MAX / reads });
  }
  sendWrite(socket);
  await until(() => device.waiting.length === reads, 'the bound');
}

function writes(device: ScriptedDevice): number {
  return device.calls.filter(({ command }) => command === 'write').length;
}

async function nothingLeft(attachment: KernelAttachment): Promise<void> {
  await until(() => attachment.stats.inFlight === 0, 'all to have ended');
  assert.deepEqual(attachment.stats, { inFlight: 0, inFlightBytes: 0 });
}

test('what waited for room on a connection that was given up is not executed', async (t) => {
  const { device, place, replaced, attachment } = await setUp(t, {
    answersAtOnce: false,
    connections: 1,
  });
  const old = place(0);
  await fillRoom(old, device);
  old.shut();
  device.open();
  await replaced(0, old);
  assert.equal(writes(device), 0);
  await nothingLeft(attachment);
});

test('what was not read before a connection was given up is not executed', async (t) => {
  const { device, place, replaced, attachment } = await setUp(t);
  const old = place(0);
  sendWrite(old);
  old.shut();
  await replaced(0, old);
  assert.deepEqual(device.calls, []);
  await nothingLeft(attachment);
});

test('a write of which a part was read before is not executed', async (t) => {
  const { device, place, replaced, attachment } = await setUp(t);
  const old = place(0);
  old.send(NBD_CMD_WRITE, { lengthBytes: BLOCK_BYTES }, Buffer.alloc(BLOCK_BYTES / 2));
  await until(() => attachment.stats.inFlight === 1, 'the first half');
  old.socket.write(Buffer.alloc(BLOCK_BYTES / 2));
  old.shut();
  await replaced(0, old);
  assert.deepEqual(device.calls, []);
  await nothingLeft(attachment);
});

test('NBD_CMD_DISC counts, though what stands before it is not executed', async (t) => {
  const { kernel, device, place, attachment } = await setUp(t);
  sendWrite(place(0));
  place(0).send(NBD_CMD_DISC);
  place(0).shut();
  await soon(attachment.detached, 'the end');
  assert.deepEqual(device.calls, []);
  assert.equal(kernel.reconfigures, 0);
});

test('NBD_CMD_DISC counts on a connection of which nothing was read for lack of room', async (t) => {
  const { kernel, device, place, attachment, clock } = await setUp(t, {
    answersAtOnce: false,
    connections: 1,
  });
  await fillRoom(place(0), device);
  await kernel.letGo();
  await pass(clock, KERNEL_LINK_CHECK_INTERVAL_MS);
  await soon(attachment.detached, 'the end');
  device.open();
  assert.equal(writes(device), 0);
  assert.equal(kernel.reconfigures, 0);
});
