import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLog } from '../../src/log.js';
import { listAttached, placeOf } from '../../src/ops/attached.js';
import type { ClientStatus } from '../../src/ops/control-messages.js';
import { startControl } from '../../src/ops/control-server.js';
import { detachOrphan, type OrphanKernel } from '../../src/ops/detach-orphan.js';
import { DeviceFile } from '../../src/ops/device-record.js';
import { backendName, waitsInKernel } from '../../src/ops/orphan.js';
import { failsWith } from '../transport/fixtures.js';
import { clientStatus, deviceRecord, ownRuntimeFolder } from './support.js';

const waits = async () => true;
const FACTS = {
  device: '/dev/nbd3',
  export: 'disk',
  address: 'quic://storage.example:4433/disk',
  sizeBytes: 1 << 30,
  readOnly: false,
  since: '2026-11-23T01:02:03.000Z',
};

/** Leaves the record of a device; the lock is the caller's to keep. */
async function saveRecord(t: TestContext, index = 3): Promise<DeviceFile> {
  const file = await DeviceFile.lock(index);
  t.after(() => file.release());
  file.save(deviceRecord({ index }));
  return file;
}

async function serve(t: TestContext, index: number | undefined, status: ClientStatus) {
  const control = await startControl({
    index,
    status: () => status,
    disconnect: async () => {},
    log: silentLog,
  });
  t.after(() => control.close());
}

test('nothing is attached where there is no runtime folder', async (t) => {
  ownRuntimeFolder(t);
  assert.deepEqual(await listAttached(waits), { attached: [], silentProcessIds: [] });
});

test('devices come first, in their order', async (t) => {
  ownRuntimeFolder(t);
  await serve(t, undefined, clientStatus({ uri: 'nbd+unix:///disk?socket=/x' }));
  for (const index of [10, 2]) {
    await serve(t, index, clientStatus({ device: `/dev/nbd${index}` }));
  }
  const { attached } = await listAttached(waits);
  assert.deepEqual(attached.map(placeOf), [
    '/dev/nbd2',
    '/dev/nbd10',
    'nbd+unix:///disk?socket=/x',
  ]);
});

test('a device with a client that answers is listed once, as the client says', async (t) => {
  ownRuntimeFolder(t);
  await saveRecord(t);
  await serve(t, 3, clientStatus({ device: '/dev/nbd3' }));
  const { attached } = await listAttached(waits);
  assert.deepEqual(
    attached.map(({ status }) => status),
    [clientStatus({ device: '/dev/nbd3' })],
  );
});

test('a device that a client has and does not serve yet is starting', async (t) => {
  ownRuntimeFolder(t);
  await saveRecord(t);
  const { attached } = await listAttached(waits);
  assert.deepEqual(attached, [{ status: { pid: process.pid, ...FACTS, state: 'starting' } }]);
});

test('a device whose client does not answer is silent', async (t) => {
  const folder = join(ownRuntimeFolder(t), 'clients');
  await saveRecord(t);
  mkdirSync(folder);
  for (const path of ['nbd3.sock', '12.sock']) {
    const server = createServer((socket) => socket.end('what?\n'));
    t.after(() => server.close());
    await once(server.listen(join(folder, path)), 'listening');
  }
  const { attached, silentProcessIds } = await listAttached(waits);
  assert.deepEqual(attached, [{ status: { pid: process.pid, ...FACTS, state: 'silent' } }]);
  assert.deepEqual(silentProcessIds, [12]);
});

test('a device that waits in the kernel for a client is orphaned', async (t) => {
  ownRuntimeFolder(t);
  (await saveRecord(t)).release();
  const { attached } = await listAttached(waits);
  assert.deepEqual(attached, [{ status: { ...FACTS, state: 'orphaned' }, orphan: deviceRecord() }]);
});

test('a record of a device that was detached is passed over', async (t) => {
  ownRuntimeFolder(t);
  (await saveRecord(t)).release();
  const { attached } = await listAttached(async () => false);
  assert.deepEqual(attached, []);
});

function kernel(changes: Partial<OrphanKernel> = {}) {
  const detached: number[] = [];
  const disconnect = async (index: number) => void detached.push(index);
  return {
    detached,
    waitsInKernel: waits,
    whoUses: async () => [],
    disconnect,
    ...changes,
  };
}

test('an orphan is detached and forgotten', async (t) => {
  const folder = ownRuntimeFolder(t);
  (await saveRecord(t)).release();
  mkdirSync(join(folder, 'clients'));
  writeFileSync(join(folder, 'clients/nbd3.sock'), '');
  const fake = kernel();
  assert.deepEqual(await detachOrphan(3, false, fake), deviceRecord());
  assert.deepEqual(fake.detached, [3]);
  assert.deepEqual(readdirSync(folder, { recursive: true }).sort(), ['clients', 'devices']);
  assert.deepEqual((await listAttached(waits)).attached, []);
});

test('an orphan in use is detached by force only', async (t) => {
  ownRuntimeFolder(t);
  (await saveRecord(t)).release();
  const fake = kernel({ whoUses: async () => ['mounted on /mnt (nbd3)', 'swap'] });
  await assert.rejects(detachOrphan(3, false, fake), {
    code: 'DST_E_DEVICE_BUSY',
    message: /^\/dev\/nbd3 is in use: mounted on \/mnt \(nbd3\), swap: /,
  });
  assert.deepEqual(fake.detached, []);
  await detachOrphan(3, true, fake);
  assert.deepEqual(fake.detached, [3]);
});

test('an orphan that has gone meanwhile is said to be', async (t) => {
  ownRuntimeFolder(t);
  (await saveRecord(t)).release();
  const fake = kernel({ waitsInKernel: async () => false });
  await assert.rejects(detachOrphan(3, false, fake), failsWith('DST_E_NOT_ATTACHED'));
  await assert.rejects(detachOrphan(4, false, kernel()), failsWith('DST_E_NOT_ATTACHED'));
});

test('an orphan that could not be detached can still be taken over', async (t) => {
  ownRuntimeFolder(t);
  (await saveRecord(t)).release();
  const fake = kernel({ disconnect: () => Promise.reject(new Error('the kernel says no')) });
  await assert.rejects(detachOrphan(3, false, fake), /the kernel says no/);
  const next = await DeviceFile.lock(3, { patienceMs: 0 });
  t.after(() => next.release());
  assert.deepEqual(next.load(), deviceRecord());
});

test('a device waits for a client only where it is of the one that left its record', async () => {
  const record = deviceRecord();
  const ours = backendName(record.session.id);
  const process = { processId: 1, name: 'nbd-client' };
  for (const [attached, backend, owner, expected] of [
    [true, ours, undefined, true],
    // The kernel names who attached it first, whose number may be another's by now.
    [true, ours, process, true],
    [true, backendName(Buffer.alloc(16, 8)), undefined, false],
    [true, undefined, undefined, true],
    [true, undefined, process, false],
    [false, ours, undefined, false],
  ] as const) {
    const view = {
      isAttached: async () => attached,
      backendOf: async () => backend,
      ownerOf: async () => owner,
    };
    assert.equal(await waitsInKernel(record, view), expected);
  }
});
