import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { DstError, NBD_ERRNO } from '../../../src/errors.js';
import {
  KERNEL_LINK_CHECK_INTERVAL_MS,
  KERNEL_LINK_USEFUL_AFTER_MS,
  KERNEL_MEND_DELAY_MAX_MS,
  NBD_BRIDGE_BYTES_IN_FLIGHT_MAX,
} from '../../../src/limits.js';
import { silentLog } from '../../../src/log.js';
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_FLAG_CAN_MULTI_CONN,
  NBD_FLAG_READ_ONLY,
  NBD_FLAG_SEND_DF,
} from '../../../src/nbd/constants.js';
import { KernelAttachment } from '../../../src/nbd/kernel/attachment.js';
import { pass } from '../../support/virtual-time.js';
import { soon, until } from '../../support/wait.js';
import { ScriptedDevice } from '../support.js';
import { setUp } from './attached.js';
import { FakeKernel, type KernelSocket } from './fake-kernel.js';

const MIB = 1 << 20;

async function roundTrip(socket: KernelSocket, cookie: number): Promise<void> {
  socket.send(NBD_CMD_TRIM, { lengthBytes: 4096, cookie });
  assert.deepEqual(await socket.answer(), { error: 0, cookie });
}

test('the kernel is told what the device is, and gets so many sockets, each of which is served', async (t) => {
  const { kernel, place, attachment } = await setUp(t, { connections: 3, minimumBlockBytes: 4096 });
  const { transmissionFlags = 0, ...settings } = kernel.settings ?? {};
  assert.deepEqual(settings, {
    sizeBytes: 64 * MIB,
    blockBytes: 4096,
    deadConnectionTimeoutMs: 60_000,
    backend: 'ours',
  });
  assert.notEqual(transmissionFlags & NBD_FLAG_CAN_MULTI_CONN, 0);
  assert.equal(transmissionFlags & (NBD_FLAG_READ_ONLY | NBD_FLAG_SEND_DF), 0);
  assert.equal(kernel.sockets.length, 3);
  for (const index of [0, 1, 2]) await roundTrip(place(index), index + 1);
  assert.equal(attachment.index, 0);
});

test('a device with bytes for blocks has sectors for the kernel, and a whole number of them', async (t) => {
  const { kernel } = await setUp(t, { sizeBytes: 10_000 });
  assert.equal(kernel.settings?.blockBytes, 512);
  assert.equal(kernel.settings?.sizeBytes, 9_728);
});

test('a device that may only be read is so for the kernel', async (t) => {
  const { kernel, place } = await setUp(t, { readOnly: true });
  assert.notEqual((kernel.settings?.transmissionFlags ?? 0) & NBD_FLAG_READ_ONLY, 0);
  place(0).send(NBD_CMD_TRIM, { lengthBytes: 4096 });
  assert.equal((await place(0).answer()).error, NBD_ERRNO.EPERM);
});

test('no answer is structured', async (t) => {
  const { place } = await setUp(t);
  place(0).send(NBD_CMD_BLOCK_STATUS, { lengthBytes: 4096, cookie: 5 });
  assert.deepEqual(await place(0).answer(), { error: NBD_ERRNO.EINVAL, cookie: 5 });
});

test('what the driver refuses leaves no descriptor behind', async (t) => {
  await setUp(t);
  const kernel = new FakeKernel(t);
  const refusal = new DstError('DST_E_DEVICE_IN_USE', 'it is taken');
  kernel.refusal = refusal;
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  const attaching = KernelAttachment.attach({
    driver: kernel,
    index: 0,
    device: new ScriptedDevice(),
    connections: 4,
    deadConnectionTimeoutMs: 60_000,
    backend: 'ours',
    log: silentLog,
  });
  await assert.rejects(attaching, refusal);
  await until(() => descriptors() === before, 'all to be closed');
});

test('a resumed device gets sockets for those that are dead, and is told of size and patience anew', async (t) => {
  const kernel = new FakeKernel(t);
  const { attachment: first } = await setUp(t, { driver: kernel });
  // Of a record that is older than the last resize.
  const recorded = { ...first.facts, sizeBytes: 8 * MIB };
  for (const socket of kernel.sockets) socket.shut();
  await until(() => kernel.sockets.every(({ ended }) => ended), 'the first client to be gone');
  kernel.settings = undefined;
  const { attachment } = await setUp(t, {
    ...{ driver: kernel, resumed: recorded, deadConnectionTimeoutMs: 90_000 },
  });
  assert.equal(kernel.settings, undefined);
  assert.equal(kernel.change?.sizeBytes, 64 * MIB);
  assert.equal(kernel.change?.deadConnectionTimeoutMs, 90_000);
  assert.deepEqual(attachment.facts, first.facts);
  for (const socket of kernel.sockets) await roundTrip(socket, 7);
});

test('a connection that the kernel gives up is replaced, and the other is left alone', async (t) => {
  const { kernel, clock, place, replaced } = await setUp(t);
  await pass(clock, KERNEL_LINK_USEFUL_AFTER_MS);
  const [first, second] = [place(0), place(1)];
  first.shut();
  await roundTrip(await replaced(0, first), 1);
  assert.equal(place(1), second);
  assert.equal(kernel.reconfigures, 1);
});

test('what a connection had in flight goes on without it, and nobody is answered', async (t) => {
  const { clock, device, place, replaced, attachment } = await setUp(t, { answersAtOnce: false });
  await pass(clock, KERNEL_LINK_USEFUL_AFTER_MS);
  const old = place(0);
  old.send(NBD_CMD_WRITE, { lengthBytes: 4096, cookie: 1 }, Buffer.alloc(4096));
  await until(() => device.waiting.length === 1, 'the write');
  old.shut();
  const fresh = await replaced(0, old);
  fresh.send(NBD_CMD_WRITE, { lengthBytes: 4096, cookie: 2 }, Buffer.alloc(4096, 2));
  await until(() => device.waiting.length === 2, 'another write');
  assert.deepEqual(attachment.stats, { inFlight: 2, inFlightBytes: 8192 });
  device.open();
  assert.deepEqual(await fresh.answer(), { error: 0, cookie: 2 });
  assert.deepEqual(attachment.stats, { inFlight: 0, inFlightBytes: 0 });
});

test('a connection of which nothing is read, for lack of room, is replaced too', async (t) => {
  const { clock, device, place, replaced } = await setUp(t, { answersAtOnce: false });
  await pass(clock, KERNEL_LINK_USEFUL_AFTER_MS);
  const old = place(0);
  const fit = NBD_BRIDGE_BYTES_IN_FLIGHT_MAX / 2 / (2 * MIB);
  for (let i = 0; i <= fit; i++) {
    old.send(NBD_CMD_READ, { lengthBytes: 2 * MIB, offset: 2 * MIB * i });
  }
  // Its end comes behind bytes that nobody reads.
  old.send(NBD_CMD_WRITE, { lengthBytes: MIB }, Buffer.alloc(MIB));
  await until(() => device.waiting.length === fit, 'the bound');
  await until(() => old.socket.writableLength === 0, 'the bytes to be on their way');
  await pass(clock, KERNEL_LINK_CHECK_INTERVAL_MS);
  assert.equal(place(0), old);
  old.shut();
  await until(() => old.ended, 'the end');
  const fresh = await replaced(0, old);
  // It has the bound of a connection for itself.
  fresh.send(NBD_CMD_READ, { lengthBytes: 2 * MIB });
  await until(() => device.waiting.length === fit + 1, 'the read on the new one');
  device.open();
});

test('while the kernel has not noticed that a socket is dead, it is offered others ever more slowly', async (t) => {
  const { kernel, clock, place, replaced } = await setUp(t);
  const old = place(0);
  kernel.slowToNotice = true;
  old.shut();
  await until(() => {
    void pass(clock, 1);
    return kernel.reconfigures >= 5;
  }, 'five offers');
  assert.ok(clock.nowMs() > 300, `${clock.nowMs()} ms`);
  kernel.slowToNotice = false;
  await roundTrip(await replaced(0, old), 1);
});

test('a refusal of the driver is not the end of the device', async (t) => {
  const { kernel, clock, place, replaced } = await setUp(t);
  const old = place(0);
  kernel.refusal = new Error('no memory');
  old.shut();
  await until(() => {
    void pass(clock, KERNEL_MEND_DELAY_MAX_MS);
    return kernel.reconfigures >= 2;
  }, 'two offers');
  kernel.refusal = undefined;
  await roundTrip(await replaced(0, old), 1);
});

test('NBD_CMD_DISC means that somebody has detached it', async (t) => {
  const { kernel, attachment, clock } = await setUp(t);
  await kernel.letGo();
  await soon(attachment.detached, 'the end');
  await pass(clock, KERNEL_MEND_DELAY_MAX_MS);
  assert.equal(kernel.reconfigures, 0);
});

test('a device that is not attached any more, and nobody said so, is detached', async (t) => {
  const { kernel, attachment, clock, place } = await setUp(t);
  kernel.attached = false;
  place(0).shut();
  const ended = attachment.detached.then(() => true);
  await until(() => {
    void pass(clock, KERNEL_MEND_DELAY_MAX_MS);
    return kernel.reconfigures === 1;
  }, 'an offer');
  assert.ok(await soon(ended, 'the end'));
});

test('detaching ends all connections and makes no others', async (t) => {
  const { kernel, attachment, clock } = await setUp(t);
  await attachment.detach();
  await attachment.detached;
  await until(() => kernel.sockets.every(({ ended }) => ended), 'the ends');
  await pass(clock, KERNEL_MEND_DELAY_MAX_MS);
  assert.equal(kernel.attached, false);
  assert.equal(kernel.reconfigures, 0);
});

test('a device that the driver will not detach stays attached, with all its connections', async (t) => {
  const { kernel, attachment, device, place, replaced } = await setUp(t, { answersAtOnce: false });
  // With a command in flight the connections end first.
  const old = place(0);
  old.send(NBD_CMD_TRIM, { lengthBytes: 4096 });
  await until(() => device.waiting.length === 1, 'the command');
  kernel.refusal = new Error('not now');
  await assert.rejects(attachment.detach(), /not now/);
  kernel.refusal = undefined;
  device.open();
  await roundTrip(await replaced(0, old), 1);
});

test('a new size is told, and is that of all connections', async (t) => {
  const { kernel, attachment, place } = await setUp(t);
  const past = { offset: 64 * MIB, lengthBytes: 4096 };
  place(0).send(NBD_CMD_TRIM, past);
  assert.equal((await place(0).answer()).error, NBD_ERRNO.EINVAL);
  await attachment.resize(128 * MIB + 100);
  assert.deepEqual(kernel.resized, [128 * MIB]);
  assert.equal(attachment.facts.sizeBytes, 128 * MIB);
  for (const index of [0, 1]) {
    place(index).send(NBD_CMD_TRIM, past);
    assert.equal((await place(index).answer()).error, 0);
  }
});

test('of sizes that come faster than the kernel takes them, the last one holds', async (t) => {
  const { kernel, attachment } = await setUp(t);
  await Promise.all([1, 2, 3].map((factor) => attachment.resize(factor * MIB)));
  assert.equal(kernel.resized.at(-1), 3 * MIB);
  assert.equal(attachment.facts.sizeBytes, 3 * MIB);
});

test('a size that the kernel does not take changes nothing', async (t) => {
  const { kernel, attachment } = await setUp(t);
  kernel.refusal = new Error('not now');
  for (const sizeBytes of [MIB, 128 * MIB]) {
    await assert.rejects(attachment.resize(sizeBytes), /not now/);
    assert.equal(attachment.facts.sizeBytes, 64 * MIB);
  }
  kernel.refusal = undefined;
  await attachment.resize(MIB);
  assert.equal(attachment.facts.sizeBytes, MIB);
});
