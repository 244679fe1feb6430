import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { DstError } from '../../src/errors.js';
import { FaultyDevice } from '../support/faulty-device.js';
import { dstError, pattern, readBytes, writeBytes } from './helpers.js';

test('a faulty device passes commands on, and notes them', async () => {
  const device = new FaultyDevice(new MemoryDevice(4096));
  await writeBytes(device, 10, pattern(20));
  assert.deepEqual(await readBytes(device, 10, 20), pattern(20));
  assert.deepEqual(
    device.commands.map(({ name, offset, lengthBytes }) => [name, offset, lengthBytes]),
    [
      ['write', 10, 20],
      ['read', 10, 20],
    ],
  );
});

test('a command held before it runs has no effect yet', async () => {
  const device = new FaultyDevice(new MemoryDevice(4096));
  const hold = device.hold((command) => command.name === 'write');
  const write = writeBytes(device, 0, pattern(10));
  assert.equal((await hold.arrived).lengthBytes, 10);
  assert.deepEqual(await readBytes(device, 0, 10), Buffer.alloc(10));
  hold.release();
  await write;
  assert.deepEqual(await readBytes(device, 0, 10), pattern(10));
});

test('a command held after it ran has taken effect', async () => {
  const device = new FaultyDevice(new MemoryDevice(4096));
  const hold = device.hold((command) => command.name === 'write', 'after');
  const write = writeBytes(device, 0, pattern(10));
  await hold.arrived;
  assert.deepEqual(await readBytes(device, 0, 10), pattern(10));
  hold.release();
  await write;
});

test('a command can be made to fail, without taking effect', async () => {
  const device = new FaultyDevice(new MemoryDevice(4096));
  const failure = new DstError('DST_E_IO', 'injected', { errno: 'EIO' });
  device.failWhen((command) => (command.name === 'write' ? failure : undefined));
  await assert.rejects(writeBytes(device, 0, pattern(10)), dstError('DST_E_IO'));
  assert.deepEqual(await readBytes(device, 0, 10), Buffer.alloc(10));
});

test('a faulty device can claim what is not so', () => {
  const verifier = Buffer.alloc(16, 7);
  const claims = { verifier, capabilities: { trim: false } };
  const device = new FaultyDevice(new MemoryDevice(4096), claims);
  assert.deepEqual(device.verifier, verifier);
  assert.equal(device.capabilities.trim, false);
  assert.equal(device.capabilities.flush, true);
});
