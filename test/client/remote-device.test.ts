import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { joinPayload, payloadOf } from '../../src/block/payload.js';
import { DstError, type ErrnoName } from '../../src/errors.js';
import { TRANSACTION_SPLIT_BYTES } from '../../src/limits.js';
import { startCluster } from '../support/cluster.js';
import { FaultyDevice } from '../support/faulty-device.js';
import { skipTransport, TRANSPORTS } from '../support/transports.js';
import { soon } from '../support/wait.js';
import { failsWith, MIB, newRemote, pattern, read, write } from './support.js';

for (const transport of TRANSPORTS) {
  const skip = skipTransport(transport);

  test(`32 MiB are written and read as transactions side by side (${transport})`, {
    skip,
  }, async (t) => {
    const device = new FaultyDevice(new MemoryDevice(40 * MIB));
    const cluster = await startCluster(transport, device);
    t.after(() => cluster.close());
    const remote = await cluster.connect();
    const bytes = pattern(32 * MIB, 1);
    // Pieces that lie across the cuts between transactions.
    const pieces = [
      bytes.subarray(0, 1),
      bytes.subarray(1, 5 * MIB + 3),
      bytes.subarray(5 * MIB + 3),
    ];
    await remote.write(7, payloadOf(pieces), {});
    const writes = device.commands.filter(({ name }) => name === 'write');
    assert.equal(writes.length, (32 * MIB) / TRANSACTION_SPLIT_BYTES);
    assert.ok(bytes.equals(await read(device, 7, 32 * MIB)));
    assert.ok(bytes.equals(await read(remote, 7, 32 * MIB)));
  });
}

test('the geometry, capabilities and verifier are those of the device', async (t) => {
  const { remote, device } = await newRemote(t);
  assert.deepEqual(remote.geometry, device.geometry);
  assert.deepEqual(remote.capabilities, device.capabilities);
  assert.ok(remote.verifier.equals(device.verifier));
});

test('what the device cannot do is not claimed', async (t) => {
  const inner = new MemoryDevice(MIB);
  const device = new FaultyDevice(inner, {
    capabilities: { trim: false, fua: false, rotational: true, readOnly: true },
    geometry: { minimumBlockBytes: 512, preferredBlockBytes: 65536 },
  });
  const cluster = await startCluster('memory', device);
  t.after(() => cluster.close());
  const remote = await cluster.connect();
  assert.deepEqual(remote.geometry, device.geometry);
  assert.deepEqual(remote.capabilities, device.capabilities);
});

test('every command has the effect that it has on the device itself', async (t) => {
  const { remote } = await newRemote(t);
  const twin = new MemoryDevice(4 * MIB);
  for (const each of [remote, twin]) {
    await write(each, 1000, pattern(300 * 1024, 1));
    await write(each, 0, Buffer.alloc(0));
    await each.trim(64 * 1024, 128 * 1024, { fua: true });
    await each.writeZeroes(2000, 5000, { fua: true, noHole: true, fastZero: false });
    await each.cache(0, MIB);
    await each.flush();
  }
  assert.ok((await read(remote, 0, 4 * MIB)).equals(await read(twin, 0, 4 * MIB)));
  assert.deepEqual(await remote.blockStatus(0, 4 * MIB), await twin.blockStatus(0, 4 * MIB));
});

test('flags reach the remote device', async (t) => {
  const { remote, device } = await newRemote(t);
  await remote.write(0, payloadOf([Buffer.alloc(512)]), { fua: true });
  await remote.trim(0, 512, { fua: true });
  await remote.writeZeroes(0, 512, { fua: true, noHole: true, fastZero: true });
  assert.deepEqual(
    device.commands.map(({ flags }) => flags),
    [{ fua: true }, { fua: true }, { fua: true, noHole: true, fastZero: true }],
  );
});

for (const errno of ['ENOSPC', 'EIO', 'EPERM', 'ENOTSUP'] as ErrnoName[]) {
  test(`the device's ${errno} is passed on, and not tried again`, async (t) => {
    const { remote, device } = await newRemote(t);
    device.failWhen(() => new DstError('DST_E_TEST', 'the disk says no', { errno }));
    await assert.rejects(write(remote, 0, Buffer.alloc(512)), failsWith('DST_E_TEST', errno));
    assert.equal(device.commands.length, 1);
    device.failWhen(() => undefined);
    await write(remote, 0, Buffer.alloc(512));
  });
}

test('a large write that fails in part rejects only when every part has ended', async (t) => {
  const { remote, device } = await newRemote(t);
  const last = device.hold(({ offset }) => offset === 3 * TRANSACTION_SPLIT_BYTES);
  device.failWhen(({ offset }) =>
    offset === 0 ? new DstError('DST_E_TEST', 'no', { errno: 'ENOSPC' }) : undefined,
  );
  let ended = false;
  const writing = write(remote, 0, Buffer.alloc(4 * TRANSACTION_SPLIT_BYTES)).finally(() => {
    ended = true;
  });
  writing.catch(() => {});
  await soon(last.arrived, 'the last part');
  await remote.session.ping();
  assert.equal(ended, false);
  last.release();
  await assert.rejects(writing, failsWith('DST_E_TEST', 'ENOSPC'));
});

test('close rejects what is pending with ESHUTDOWN, and what comes after it', async (t) => {
  const { remote, device } = await newRemote(t);
  const hold = device.hold(() => true);
  const pending = write(remote, 0, Buffer.alloc(512));
  const rejected = assert.rejects(pending, failsWith('DST_E_CLOSED', 'ESHUTDOWN'));
  await soon(hold.arrived, 'the write');
  await remote.close();
  await rejected;
  await assert.rejects(remote.flush(), failsWith('DST_E_CLOSED', 'ESHUTDOWN'));
  await remote.close();
  hold.release();
});

test('pieces that a read returns are the caller’s own', async (t) => {
  const { remote } = await newRemote(t);
  await write(remote, 0, pattern(512, 1));
  const first = await remote.read(0, 512);
  await write(remote, 0, pattern(512, 2));
  await read(remote, 0, 512);
  assert.ok(joinPayload(first).equals(pattern(512, 1)));
});
