import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemCalls } from '../../src/block/system-calls.js';
import { claimDevice, type KernelView } from '../../src/cli/claim-device.js';
import { DEVICE_LOCK_RETRY_MS } from '../../src/limits.js';
import { silentLog } from '../../src/log.js';
import type { DeviceChoice } from '../../src/nbd/kernel/device-name.js';
import { DeviceFile, type DeviceRecord } from '../../src/ops/device-record.js';
import { backendName, waitsInKernel } from '../../src/ops/orphan.js';
import { devicesFolder } from '../../src/ops/runtime-folder.js';
import { deviceRecord, ownRuntimeFolder } from '../ops/support.js';
import { failsWith } from '../transport/fixtures.js';

/** flock(2). */
const LOCK_SH = 1;

const ADDRESS = 'quic://storage.example:4433/disk';
const OURS = backendName(deviceRecord().session.id);

interface Kernel {
  attached?: number[];
  backend?: string | undefined;
  owner?: { processId: number; name: string };
}

/** A kernel of four devices. */
function setUp(t: TestContext, { attached = [], owner, ...kernel }: Kernel = {}) {
  const backend = 'backend' in kernel ? kernel.backend : OURS;
  ownRuntimeFolder(t);
  const view: KernelView = {
    driver: {
      connected: async () => attached,
      firstFree: async (except = new Set()) => {
        const free = [0, 1, 2, 3].find((index) => !attached.includes(index) && !except.has(index));
        assert.ok(free !== undefined, 'all are in use');
        return free;
      },
    },
    waitsInKernel: (record) =>
      waitsInKernel(record, {
        isAttached: async (index) => attached.includes(index),
        backendOf: async () => backend,
        ownerOf: async () => owner,
      }),
    isLeftInKernel: async () => owner === undefined && backend !== undefined,
    ownerOf: async () => owner,
  };
  const claim = async (choice: DeviceChoice, address = ADDRESS) => {
    const claimed = await claimDevice(choice, address, view, silentLog);
    t.after(() => claimed.file.release());
    return claimed;
  };
  return { claim };
}

/** What a client that is gone has left. */
async function leave(...records: DeviceRecord[]): Promise<void> {
  for (const record of records) {
    const file = await DeviceFile.lock(record.index);
    file.save(record);
    file.release();
  }
}

test('a device that is free is locked, and what was left of another attachment is dropped', async (t) => {
  const { claim } = setUp(t);
  await leave(deviceRecord({ index: 1 }));
  const { index, left, file } = await claim({ index: 1 });
  assert.deepEqual({ index, left }, { index: 1, left: undefined });
  assert.equal(file.load(), undefined);
});

test('a device whose client is gone is taken over', async (t) => {
  const { claim } = setUp(t, { attached: [3] });
  await leave(deviceRecord());
  assert.deepEqual((await claim({ index: 3 })).left, deviceRecord());
});

test('one store is the same by whichever transport', async (t) => {
  const { claim } = setUp(t, { attached: [3] });
  await leave(deviceRecord());
  assert.deepEqual(
    (await claim({ index: 3 }, 'https://storage.example/disk')).left,
    deviceRecord(),
  );
});

test('where the kernel does not tell whose a device is, it is who attached it', async (t) => {
  const { claim } = setUp(t, { attached: [3], backend: undefined });
  await leave(deviceRecord());
  assert.deepEqual((await claim({ index: 3 })).left, deviceRecord());
});

const NBD_CLIENT = { processId: 12, name: 'nbd-client' };

for (const [what, kernel, words] of [
  ['that another program serves', { backend: undefined, owner: NBD_CLIENT }, /12 \(nbd-client\)/],
  ['of another session', { backend: backendName(Buffer.alloc(16)) }, /gone.*"dst-quic disconnect/],
] as const) {
  test(`a device ${what} is not taken`, async (t) => {
    const { claim } = setUp(t, { attached: [3], ...kernel });
    await leave(deviceRecord());
    await assert.rejects(claim({ index: 3 }), (error: Error) => {
      assert.match(error.message, words);
      return failsWith('DST_E_DEVICE_IN_USE')(error);
    });
    // It is left to others, and its record as well.
    const file = await DeviceFile.lock(3, { patienceMs: 0 });
    assert.ok(file.load() !== undefined);
    file.release();
  });
}

test('a device that is attached to another store is not taken, and it is told to which', async (t) => {
  const { claim } = setUp(t, { attached: [3] });
  await leave(deviceRecord({ address: 'elsewhere/disk' }));
  await assert.rejects(claim({ index: 3 }), (error: Error) => {
    assert.match(error.message, /attached to elsewhere\/disk, whose client is gone/);
    return failsWith('DST_E_DEVICE_IN_USE')(error);
  });
});

test('a device without a record is not taken', async (t) => {
  const { claim } = setUp(t, { attached: [3] });
  await assert.rejects(claim({ index: 3 }), failsWith('DST_E_DEVICE_IN_USE'));
});

test('auto takes over the device that waits for the same store', async (t) => {
  const { claim } = setUp(t, { attached: [1, 2, 3] });
  await leave(deviceRecord({ index: 1, address: 'elsewhere/disk' }), deviceRecord({ index: 2 }));
  const { index, left } = await claim('auto');
  assert.deepEqual({ index, left }, { index: 2, left: deviceRecord({ index: 2 }) });
});

test('auto waits for who only looks whether a device has a client', async (t) => {
  const { claim } = setUp(t, { attached: [2] });
  await leave(deviceRecord({ index: 2 }));
  const looking = openSync(join(devicesFolder(), 'nbd2.lock'), 'a');
  const { flock } = await systemCalls();
  await flock(looking, LOCK_SH);
  setTimeout(() => closeSync(looking), DEVICE_LOCK_RETRY_MS);
  assert.equal((await claim('auto')).index, 2);
});

test('auto takes a free device where none waits, and none that another client is about to take', async (t) => {
  const { claim } = setUp(t, { attached: [0] });
  // Of an attachment that is over.
  await leave(deviceRecord({ index: 2 }));
  assert.equal((await claim('auto')).index, 1);
  const second = await claim('auto');
  assert.deepEqual({ index: second.index, left: second.left }, { index: 2, left: undefined });
});
