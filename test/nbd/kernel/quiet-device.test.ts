import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { DeviceTask } from '../../../src/nbd/kernel/device-task.js';
import { QuietDevice } from '../../../src/nbd/kernel/quiet-device.js';
import { until } from '../../support/wait.js';
import { failsWith } from '../../transport/fixtures.js';
import { madeUpFolders } from './made-up-folders.js';
import { openersOf } from './openers.js';

/** No test waits so long: it is what a process may take to start on a busy machine. */
const TIMEOUT_MS = 10_000;

async function setUp(
  t: TestContext,
  timeoutMs = TIMEOUT_MS,
  task?: Pick<DeviceTask, keyof DeviceTask>,
) {
  const folders = await madeUpFolders(t);
  await folders.put('sys/block/nbd0/dev', '43:0\n');
  await folders.put('proc/self/mountinfo', '20 1 8:1 / / rw - ext4 /dev/sda1 rw\n');
  await folders.put('proc/swaps');
  const path = join(folders.dev, 'nbd0');
  const device = new QuietDevice(0, timeoutMs, folders, task && (() => task));
  return { folders, path, device, openings: () => openersOf(path).length };
}

test('a device that nobody uses is held open until it is let go', async (t) => {
  const { folders, device, openings } = await setUp(t);
  await folders.put('dev/nbd0');
  const letGo = await device.claim({ flush: true });
  assert.equal(openings(), 1);
  await letGo();
  assert.equal(openings(), 0);
});

test('a device that is in use is refused, with by what', async (t) => {
  const { folders, device, openings } = await setUp(t);
  await folders.put('dev/nbd0');
  await folders.put('proc/swaps', 'Filename Type\n/dev/nbd0 partition 1 0 -2\n');
  await assert.rejects(device.claim({ flush: true }), (error: Error) => {
    assert.match(error.message, /in use: swap: .*disconnect --force \/dev\/nbd0/);
    return failsWith('DST_E_DEVICE_BUSY')(error);
  });
  assert.equal(openings(), 0);
});

test('whoever only had a look at it does not count', async (t) => {
  const { folders, device } = await setUp(t);
  await folders.put('dev/nbd0');
  await folders.put('proc/swaps', 'Filename Type\n/dev/nbd0 partition 1 0 -2\n');
  const claiming = device.claim({ flush: true });
  setTimeout(() => void folders.put('proc/swaps'), 100);
  await (await claiming)();
});

test('a flush that fails is told, and nothing stays open', async (t) => {
  const { folders, device, openings } = await setUp(t);
  // Nothing that fsync(2) would take.
  await folders.link('dev/nbd0', '/proc/self/maps');
  await assert.rejects(device.flush(), failsWith('DST_E_UNFLUSHED'));
  await assert.rejects(device.claim({ flush: true }), failsWith('DST_E_UNFLUSHED'));
  await until(() => openings() === 0, 'it to be closed');
  await (await device.claim({ flush: false }))();
});

test('what is claimed by something that does not show is in use', async (t) => {
  const error = Object.assign(new Error('EBUSY'), { errno: -constants.errno.EBUSY });
  const result = Promise.reject(error);
  result.catch(() => {});
  const { device } = await setUp(t, TIMEOUT_MS, {
    result,
    ended: Promise.resolve(),
    letGo: async () => {},
    giveUp: () => {},
  });
  await assert.rejects(device.claim({ flush: true }), (error: Error) => {
    assert.match(error.message, /claimed by something that does not show/);
    return failsWith('DST_E_DEVICE_BUSY')(error);
  });
});

test('where the device does not answer in time it is given up', async (t) => {
  const { folders, path, device, openings } = await setUp(t, 1);
  await folders.put('dev/other');
  // Who opens a pipe to read waits for a writer.
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  await assert.rejects(device.flush(), failsWith('DST_E_UNFLUSHED'));
  await until(() => openings() === 0, 'the late one to be gone');
});

test('while what was given up waits for the device, nothing else is begun', async (t) => {
  let givenUp = 0;
  const { device } = await setUp(t, 1, {
    result: new Promise(() => {}),
    ended: new Promise(() => {}),
    letGo: () => new Promise(() => {}),
    giveUp: () => void givenUp++,
  });
  await assert.rejects(device.flush(), failsWith('DST_E_UNFLUSHED'));
  await assert.rejects(device.claim({ flush: true }), failsWith('DST_E_UNFLUSHED'));
  assert.equal(givenUp, 1);
});

test('where no process can be had nothing is flushed', async (t) => {
  const { folders } = await setUp(t);
  const device = new QuietDevice(0, TIMEOUT_MS, folders, () => {
    throw new Error('spawn ENOMEM');
  });
  await assert.rejects(device.flush(), (error: Error) => {
    assert.match(error.message, /could not be flushed: spawn ENOMEM/);
    return failsWith('DST_E_UNFLUSHED')(error);
  });
});
