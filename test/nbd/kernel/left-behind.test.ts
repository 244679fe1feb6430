/** Commands that the kernel sends anew while their first copies are still under way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DstError, NBD_ERRNO } from '../../../src/errors.js';
import { NBD_BRIDGE_BYTES_IN_FLIGHT_MAX } from '../../../src/limits.js';
import {
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
} from '../../../src/nbd/constants.js';
import { until } from '../../support/wait.js';
import { setUp } from './attached.js';
import type { KernelSocket } from './fake-kernel.js';

const BLOCK_BYTES = 4096;

interface Fields {
  readonly cookie?: number;
  readonly offset?: number;
  readonly flags?: number;
}

const BLOCK = { lengthBytes: BLOCK_BYTES };

function sendWrite(socket: KernelSocket, fields: Fields = {}, payload = Buffer.alloc(BLOCK_BYTES)) {
  socket.send(NBD_CMD_WRITE, { lengthBytes: payload.length, ...fields }, payload);
}

/** A device that holds its commands, and what happens to it in steps. */
async function world(...parameters: Parameters<typeof setUp>) {
  const [t, options] = parameters;
  const { device, attachment, place, replaced } = await setUp(t, {
    answersAtOnce: false,
    ...options,
  });
  return {
    ...{ device, attachment, place },
    /** Waits until the device has been given so many commands. */
    given: (count: number) => until(() => device.calls.length === count, `${count} commands`),
    /** Waits until so many are in flight, those that have joined others counted as well. */
    inFlight: (count: number) =>
      until(() => attachment.stats.inFlight === count, `${count} in flight`),
    /** Has the kernel give a connection up, and returns the next one in its place. */
    async giveUp(index: number): Promise<KernelSocket> {
      const old = place(index);
      old.shut();
      return await replaced(index, old);
    },
  };
}

test('changes that come again are made once, and answered where they came last', async (t) => {
  const { device, place, given, inFlight, giveUp, attachment } = await world(t);
  const send = (socket: KernelSocket) => {
    sendWrite(socket, { cookie: 1 });
    socket.send(NBD_CMD_TRIM, { ...BLOCK, offset: 8192, cookie: 2 });
    socket.send(NBD_CMD_WRITE_ZEROES, { ...BLOCK, offset: 16_384, cookie: 3 });
  };
  send(place(0));
  await given(3);
  const fresh = await giveUp(0);
  send(fresh);
  await inFlight(6);
  assert.equal(device.calls.length, 3);
  device.open();
  for (const cookie of [1, 2, 3]) assert.deepEqual(await fresh.answer(), { error: 0, cookie });
  assert.equal(device.calls.length, 3);
  assert.deepEqual(attachment.stats, { inFlight: 0, inFlightBytes: 0 });
});

test('one joins too that comes before we would learn that its connection is dead', async (t) => {
  const { device, place, given, inFlight } = await world(t);
  sendWrite(place(0));
  // The last of these has no room, so that nothing more is read from there, not even the end.
  const quarter = { lengthBytes: NBD_BRIDGE_BYTES_IN_FLIGHT_MAX / 2 / 4 };
  for (let i = 0; i < 4; i++) place(0).send(NBD_CMD_READ, quarter);
  await given(4);
  place(0).shut();
  sendWrite(place(1), { cookie: 2 });
  await inFlight(5);
  assert.equal(device.calls.length, 4);
  device.open();
  assert.deepEqual(await place(1).answer(), { error: 0, cookie: 2 });
});

test('what has joined fails as the first one does', async (t) => {
  const { device, place, given, inFlight, giveUp } = await world(t);
  sendWrite(place(0));
  await given(1);
  const fresh = await giveUp(0);
  sendWrite(fresh, { cookie: 7 });
  await inFlight(2);
  device.waiting[0]?.reject(new DstError('DST_E_FULL', 'it is full', { errno: 'ENOSPC' }));
  assert.deepEqual(await fresh.answer(), { error: NBD_ERRNO.ENOSPC, cookie: 7 });
});

test('a change that differs in anything does not join', async (t) => {
  const { device, place, given, giveUp } = await world(t);
  sendWrite(place(0));
  await given(1);
  const fresh = await giveUp(0);
  const others = Buffer.alloc(BLOCK_BYTES);
  others[BLOCK_BYTES - 1] = 1;
  sendWrite(fresh, {}, others);
  sendWrite(fresh, { offset: BLOCK_BYTES });
  sendWrite(fresh, { flags: NBD_CMD_FLAG_FUA });
  sendWrite(fresh, {}, Buffer.alloc(BLOCK_BYTES / 2));
  fresh.send(NBD_CMD_TRIM, BLOCK);
  await given(6);
  device.open();
});

test('a change does not join that of a connection that lives', async (t) => {
  const { device, place, given } = await world(t);
  for (const index of [0, 0, 1]) sendWrite(place(index));
  await given(3);
  device.open();
});

test('a change that a later one has overtaken stands for nothing newer', async (t) => {
  const { device, place, given, giveUp } = await world(t);
  sendWrite(place(0), {}, Buffer.alloc(2 * BLOCK_BYTES));
  await given(1);
  sendWrite(place(1), { offset: BLOCK_BYTES, cookie: 2 });
  await given(2);
  device.waiting[1]?.resolve();
  assert.deepEqual(await place(1).answer(), { error: 0, cookie: 2 });
  sendWrite(await giveUp(0), {}, Buffer.alloc(2 * BLOCK_BYTES));
  await given(3);
  device.open();
});

test('reads and flushes never join', async (t) => {
  const { device, place, given, giveUp, inFlight } = await world(t);
  const send = (socket: KernelSocket) => {
    socket.send(NBD_CMD_READ, BLOCK);
    socket.send(NBD_CMD_FLUSH);
  };
  send(place(0));
  await given(2);
  send(await giveUp(0));
  await given(4);
  device.open();
  await inFlight(0);
  assert.equal(device.unreleased, 0);
});

test('the room of what is left behind is free for what comes again, time after time', async (t) => {
  const { device, place, given, inFlight, giveUp, attachment } = await world(t, { connections: 1 });
  const count = 10;
  const payload = Buffer.alloc(NBD_BRIDGE_BYTES_IN_FLIGHT_MAX / count, 3);
  const send = async (socket: KernelSocket) => {
    for (let i = 0; i < count; i++) {
      sendWrite(socket, { offset: i * payload.length, cookie: i }, payload);
    }
    // Answered at once, as it is refused, and behind all others: they have come whole.
    socket.send(NBD_CMD_TRIM, { lengthBytes: 0, cookie: count });
    assert.deepEqual(await socket.answer(), { error: NBD_ERRNO.EINVAL, cookie: count });
  };
  await send(place(0));
  await given(count);
  let last = place(0);
  for (let times = 0; times < 2; times++) {
    last = await giveUp(0);
    await inFlight(count);
    await send(last);
    assert.equal(attachment.stats.inFlight, 2 * count);
  }
  assert.equal(attachment.stats.inFlightBytes, 2 * NBD_BRIDGE_BYTES_IN_FLIGHT_MAX);
  device.open();
  for (let i = 0; i < count; i++) assert.deepEqual(await last.answer(), { error: 0, cookie: i });
  assert.equal(device.calls.length, count);
  assert.deepEqual(attachment.stats, { inFlight: 0, inFlightBytes: 0 });
});

test('more than the bound is not left behind twice: what is beyond it keeps its room', async (t) => {
  const { device, place, given, inFlight, giveUp, attachment } = await world(t, { connections: 1 });
  const half = { lengthBytes: NBD_BRIDGE_BYTES_IN_FLIGHT_MAX / 2 };
  const send = (socket: KernelSocket) => {
    for (let i = 0; i < 3; i++) socket.send(NBD_CMD_READ, half);
  };
  send(place(0));
  await given(2);
  send(await giveUp(0));
  await given(4);
  const last = await giveUp(0);
  // Answered at once, as it is refused; what was sent with it has come then.
  last.send(NBD_CMD_TRIM, { lengthBytes: 0, cookie: 9 });
  send(last);
  assert.deepEqual(await last.answer(), { error: NBD_ERRNO.EINVAL, cookie: 9 });
  assert.equal(attachment.stats.inFlightBytes, 2 * NBD_BRIDGE_BYTES_IN_FLIGHT_MAX);
  last.shut();
  device.open();
  await inFlight(0);
  assert.equal(device.calls.length, 4);
  assert.equal(device.unreleased, 0);
});
