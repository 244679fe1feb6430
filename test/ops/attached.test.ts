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
import { backendName, isLeftInKernel, leftInKernel, waitsInKernel } from '../../src/ops/orphan.js';
import { failsWith } from '../transport/fixtures.js';
import { clientStatus, deviceRecord, ownRuntimeFolder } from './support.js';

const waits = async () => true;
const KERNEL = { waitsInKernel: waits, leftInKernel: async () => [] as number[] };
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
  assert.deepEqual(await listAttached(KERNEL), []);
});

test('devices come first, in their order', async (t) => {
  ownRuntimeFolder(t);
  await serve(t, undefined, clientStatus({ uri: 'nbd+unix:///disk?socket=/x' }));
  for (const index of [10, 2]) {
    await serve(t, index, clientStatus({ device: `/dev/nbd${index}` }));
  }
  const attached = await listAttached(KERNEL);
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
  const attached = await listAttached(KERNEL);
  assert.deepEqual(
    attached.map(({ status }) => status),
    [clientStatus({ device: '/dev/nbd3' })],
  );
});

test('a device that a client has and does not serve yet is starting', async (t) => {
  ownRuntimeFolder(t);
  await saveRecord(t);
  const attached = await listAttached(KERNEL);
  assert.deepEqual(attached, [{ status: { pid: process.pid, ...FACTS, state: 'starting' } }]);
});

test('clients that do not answer are silent', async (t) => {
  const folder = join(ownRuntimeFolder(t), 'clients');
  await saveRecord(t);
  mkdirSync(folder);
  for (const path of ['nbd3.sock', 'nbd4.sock', '12.sock']) {
    const server = createServer((socket) => socket.end('what?\n'));
    t.after(() => server.close());
    await once(server.listen(join(folder, path)), 'listening');
  }
  const attached = await listAttached(KERNEL);
  assert.deepEqual(attached, [
    { status: { pid: process.pid, ...FACTS, state: 'silent' } },
    { status: { device: '/dev/nbd4', state: 'silent' } },
    { status: { pid: 12, state: 'silent' } },
  ]);
});

test('a device that a client has locked is starting, before it has a record', async (t) => {
  ownRuntimeFolder(t);
  const file = await DeviceFile.lock(3);
  t.after(() => file.release());
  const status = { pid: process.pid, device: '/dev/nbd3', state: 'starting' } as const;
  assert.deepEqual(await listAttached(KERNEL), [{ status }]);
});

test('a device that only the kernel tells of is orphaned, unless more is known of it', async (t) => {
  ownRuntimeFolder(t);
  await saveRecord(t);
  (await saveRecord(t, 4)).release();
  const attached = await listAttached({ ...KERNEL, leftInKernel: async () => [3, 4, 5] });
  assert.deepEqual(
    attached.map(({ status: { device, export: name, state } }) => [device, name, state]),
    [
      ['/dev/nbd3', 'disk', 'starting'],
      ['/dev/nbd4', 'disk', 'orphaned'],
      ['/dev/nbd5', undefined, 'orphaned'],
    ],
  );
  assert.equal(attached[2]?.orphanIndex, 5);
});

test('a device that waits in the kernel for a client is orphaned', async (t) => {
  ownRuntimeFolder(t);
  (await saveRecord(t)).release();
  const attached = await listAttached(KERNEL);
  assert.deepEqual(attached, [{ status: { ...FACTS, state: 'orphaned' }, orphanIndex: 3 }]);
});

test('a record of a device that was detached is passed over', async (t) => {
  ownRuntimeFolder(t);
  (await saveRecord(t)).release();
  const attached = await listAttached({ ...KERNEL, waitsInKernel: async () => false });
  assert.deepEqual(attached, []);
});

function kernel(changes: Partial<OrphanKernel> = {}) {
  const detached: number[] = [];
  const disconnect = async (index: number) => void detached.push(index);
  return {
    detached,
    waitsInKernel: waits,
    isLeftInKernel: async () => false,
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
  assert.deepEqual(await listAttached(KERNEL), []);
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

test('an orphan without a record of use is detached, and what there is of one removed', async (t) => {
  const folder = join(ownRuntimeFolder(t), 'devices');
  (await saveRecord(t)).release();
  writeFileSync(join(folder, 'nbd3.json'), '{');
  const fake = kernel({ isLeftInKernel: async () => true });
  assert.equal(await detachOrphan(3, false, fake), undefined);
  assert.deepEqual(fake.detached, [3]);
  assert.deepEqual(readdirSync(folder), []);
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

test('a device is left by a dst-quic that is gone, and by no other', async () => {
  const ours = backendName(Buffer.alloc(16));
  const client = { processId: 1, name: 'node' };
  for (const [attached, backend, owner, expected] of [
    [true, ours, undefined, true],
    [true, ours, client, false],
    [true, 'another', undefined, false],
    [true, undefined, undefined, false],
    [false, ours, undefined, false],
  ] as const) {
    const view = {
      isAttached: async () => attached,
      backendOf: async () => backend,
      ownerOf: async () => owner,
    };
    assert.equal(await isLeftInKernel(3, view), expected);
  }
});

test('the kernel is asked for what is left, by root', {
  skip: process.getuid?.() !== 0,
}, async (t) => {
  const sys = join(ownRuntimeFolder(t), 'sys');
  const folders = { sys, proc: join(sys, 'proc'), dev: join(sys, 'dev') };
  assert.deepEqual(await leftInKernel(folders), []);
  for (const name of ['nbd7', 'nbd0', 'loop1']) {
    mkdirSync(join(sys, 'block', name), { recursive: true });
    writeFileSync(join(sys, 'block', name, 'pid'), '12\n');
    writeFileSync(join(sys, 'block', name, 'backend'), `${backendName(Buffer.alloc(16))}\n`);
  }
  writeFileSync(join(sys, 'block/nbd0/backend'), 'another\n');
  assert.deepEqual(await leftInKernel(folders), [7]);
});
