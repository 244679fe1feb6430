/** A device between an export and the kernel, both in this process. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { type AttachDeviceOptions, attachDevice } from '../../src/cli/attach-device.js';
import { DeviceJournal } from '../../src/cli/device-journal.js';
import { ServedDevice } from '../../src/cli/served-device.js';
import { SessionIdentity } from '../../src/client/session-identity.js';
import { DstError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { NBD_CMD_TRIM, NBD_FLAG_READ_ONLY } from '../../src/nbd/constants.js';
import { DeviceFile, type DeviceRecord } from '../../src/ops/device-record.js';
import { FakeKernel } from '../nbd/kernel/fake-kernel.js';
import { deviceRecord, ownRuntimeFolder } from '../ops/support.js';
import { startCluster } from '../support/cluster.js';
import { FaultyDevice } from '../support/faulty-device.js';
import { until } from '../support/wait.js';
import { failsWith } from '../transport/fixtures.js';

const MIB = 1 << 20;

/** An export, and a client of it that has locked a device of the kernel's. */
async function setUp(t: TestContext, { left }: { left?: DeviceRecord } = {}) {
  ownRuntimeFolder(t);
  const store = new FaultyDevice(new MemoryDevice(MIB));
  const cluster = await startCluster('memory', store);
  t.after(() => cluster.close());
  const file = await DeviceFile.lock(0);
  t.after(() => file.release());
  if (left !== undefined) file.save(left);
  const journal = new DeviceJournal(file, left);
  const identity = new SessionIdentity({ journal });
  const device = await cluster.connect({ identity });
  const kernel = new FakeKernel(t);
  const options = { kernelConnections: 2, orphanTimeout: 600_000, tune: true };
  const attach = (others: Partial<AttachDeviceOptions> = {}) =>
    attachDevice({
      ...others,
      claimed: { index: 0, file, left },
      driver: kernel,
      device,
      identity,
      journal,
      address: 'quic://storage.example/vol',
      exportName: 'vol',
      options,
      log: silentLog,
    });
  return { attach, cluster, store, device, kernel, file, journal };
}

/** The same, attached, and in use where a test says so. */
async function serve(t: TestContext) {
  const world = await setUp(t);
  const { attachment } = await world.attach();
  const uses: string[] = [];
  const steps: string[] = [];
  const served = new ServedDevice({
    attachment,
    device: world.device,
    part: { ...deviceRecord({ index: 0 }), sizeBytes: MIB },
    journal: world.journal,
    log: silentLog,
    quiet: {
      claim: async ({ flush }) => {
        if (uses.length > 0) throw new DstError('DST_E_DEVICE_BUSY', `in use: ${uses}`);
        steps.push(flush ? 'claimed and flushed' : 'claimed');
        return async () => {
          steps.push(world.kernel.attached ? 'let go' : 'let go, detached');
        };
      },
      flush: async () => {
        steps.push('flushed');
      },
      scanPartitions: async () => {
        steps.push(world.kernel.attached ? 'partitions' : 'no partitions');
      },
    },
  });
  t.after(() => attachment.attached && attachment.detach());
  return { ...world, served, uses, steps };
}

test('a device is recorded before the kernel has it', async (t) => {
  const { attach, kernel, file } = await setUp(t);
  let recorded: DeviceRecord | undefined;
  const connect = kernel.connect.bind(kernel);
  kernel.connect = (...words) => {
    recorded = file.load();
    return connect(...words);
  };
  const { attachment } = await attach();
  assert.equal(recorded?.address, 'quic://storage.example/vol');
  assert.equal(recorded.connections, 2);
  assert.equal(recorded.sizeBytes, MIB);
  assert.equal(kernel.settings?.deadConnectionTimeoutMs, 600_000);
  await attachment.detach();
});

test('what the kernel refuses leaves no record, and the session is over', async (t) => {
  const { attach, kernel, file, device } = await setUp(t);
  kernel.refusal = new DstError('DST_E_ATTACH', 'no');
  await assert.rejects(attach(), failsWith('DST_E_ATTACH'));
  assert.equal(file.load(), undefined);
  await assert.rejects(device.flush(), failsWith('DST_E_CLOSED'));
});

test('where any device will do, another is attached instead of one that is taken', async (t) => {
  const { attach, kernel, file, device } = await setUp(t);
  const taken: number[] = [];
  kernel.refusal = new DstError('DST_E_DEVICE_IN_USE', 'somebody was quicker');
  const claimOther = async (index: number) => {
    taken.push(index);
    kernel.refusal = undefined;
    return { index: 1, file: await DeviceFile.lock(1), left: undefined };
  };
  const { attachment, path } = await attach({ claimOther });
  assert.deepEqual(taken, [0]);
  assert.equal(path, '/dev/nbd1');
  assert.equal(file.load(), undefined);
  await device.flush();
  await attachment.detach();
  (await DeviceFile.lock(0, { patienceMs: 0 })).release();
});

test('a device that is taken over keeps its record when the kernel refuses', async (t) => {
  const left = deviceRecord({ index: 0, sizeBytes: MIB, blockBytes: 512 });
  const { attach, kernel, file } = await setUp(t, { left });
  kernel.attached = true;
  kernel.refusal = new DstError('DST_E_ATTACH', 'no');
  await assert.rejects(attach(), failsWith('DST_E_ATTACH'));
  assert.equal(file.load()?.since, left.since);
});

test('a device that is taken over has as many sockets as it had, whatever is asked for', async (t) => {
  const left = deviceRecord({ index: 0, connections: 3, blockBytes: 512 });
  const { attach, kernel } = await setUp(t, { left });
  kernel.attached = true;
  let sockets = 0;
  kernel.reconfigure = async (_index, change) => {
    sockets = change.sockets?.length ?? 0;
  };
  const { attachment } = await attach();
  assert.equal(sockets, 3);
  await attachment.detach();
});

for (const [what, change, words] of [
  ['has other blocks', { blockBytes: 256 }, /512 bytes and had 256/],
  ['lacks commands', { blockBytes: 512, transmissionFlags: 1 << 15 }, /lacks commands/],
] as const) {
  test(`an export that ${what} is not handed to a kernel that was told otherwise`, async (t) => {
    const left = deviceRecord({ index: 0, ...change });
    const { attach, kernel } = await setUp(t, { left });
    await assert.rejects(attach(), (error: Error) => {
      assert.match(error.message, words);
      return failsWith('DST_E_EXPORT_CHANGED')(error);
    });
    assert.equal(kernel.reconfigures, 0);
  });
}

test('an export that may be written now is handed to a kernel that only reads', async (t) => {
  const left = deviceRecord({ index: 0, blockBytes: 512, transmissionFlags: NBD_FLAG_READ_ONLY });
  const { attach, kernel } = await setUp(t, { left });
  kernel.attached = true;
  await (await attach()).attachment.detach();
});

test('a device in use is not detached, and goes on', async (t) => {
  const { served, uses, kernel, steps } = await serve(t);
  uses.push('mounted on /mnt');
  await assert.rejects(served.detach(false), failsWith('DST_E_DEVICE_BUSY'));
  assert.equal(kernel.attached, true);
  uses.pop();
  await served.detach(false);
  assert.equal(kernel.attached, false);
  assert.deepEqual(steps, ['claimed and flushed', 'let go, detached', 'no partitions']);
});

test('by force it is flushed and detached, whoever uses it', async (t) => {
  const { served, uses, kernel, steps } = await serve(t);
  uses.push('mounted on /mnt');
  await served.detach(true);
  assert.equal(kernel.attached, false);
  assert.deepEqual(steps, ['flushed']);
});

test('who asks while another is being refused is asked for itself', async (t) => {
  const { served, uses, kernel } = await serve(t);
  uses.push('mounted on /mnt');
  const refused = assert.rejects(served.detach(false), failsWith('DST_E_DEVICE_BUSY'));
  await Promise.all([refused, served.detach(true), served.detach(true)]);
  assert.equal(kernel.attached, false);
});

test('at the end all is flushed to the export, and there is no record that a later save brings back', async (t) => {
  const { served, store, kernel, file, journal, device } = await serve(t);
  kernel.sockets[0]?.send(NBD_CMD_TRIM, { lengthBytes: 4096 });
  await kernel.sockets[0]?.answer();
  await served.detach(false);
  await Promise.all([served.end(), served.end()]);
  assert.equal(store.commands.at(-1)?.name, 'flush');
  journal.save(deviceRecord().session);
  journal.describe(deviceRecord());
  assert.equal(file.load(), undefined);
  await assert.rejects(device.flush(), failsWith('DST_E_CLOSED'));
});

test('a device that another client has taken is detached without a flush', async (t) => {
  const { served, cluster, device, steps, store } = await serve(t);
  await cluster.connect({ takeover: true });
  await device.session.refused;
  await until(() => served.refused !== undefined, 'it to be known');
  await served.detach(false);
  await served.end();
  assert.deepEqual(steps, ['claimed', 'let go, detached', 'no partitions']);
  assert.ok(!store.commands.some(({ name }) => name === 'flush'));
});

test('a new size of the export is told to the kernel and recorded', async (t) => {
  const { served, kernel, file, steps } = await serve(t);
  await served.resize(2 * MIB);
  assert.deepEqual(steps, ['partitions']);
  assert.deepEqual(kernel.resized, [2 * MIB]);
  assert.equal(file.load()?.sizeBytes, 2 * MIB);
  kernel.refusal = new Error('not now');
  await served.resize(3 * MIB);
  assert.equal(file.load()?.sizeBytes, 2 * MIB);
  kernel.refusal = undefined;
});
