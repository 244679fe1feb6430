import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openPath } from '../../../src/block/open-descriptor.js';
import { QuietDevice } from '../../../src/nbd/kernel/quiet-device.js';
import { until } from '../../support/wait.js';
import { failsWith } from '../../transport/fixtures.js';
import { madeUpFolders } from './made-up-folders.js';

const TIMEOUT_MS = 100;

async function setUp(t: TestContext) {
  const folders = await madeUpFolders(t);
  await folders.put('sys/block/nbd0/dev', '43:0\n');
  await folders.put('proc/self/mountinfo', '20 1 8:1 / / rw - ext4 /dev/sda1 rw\n');
  await folders.put('proc/swaps');
  const path = join(folders.dev, 'nbd0');
  const openings = () =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === path;
      } catch {
        return false;
      }
    }).length;
  return { folders, path, openings, device: new QuietDevice(0, TIMEOUT_MS, folders) };
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
  setTimeout(() => void folders.put('proc/swaps'), TIMEOUT_MS);
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

test('where the device does not answer it is given up, and one attempt alone goes on', async (t) => {
  const { path, folders, device, openings } = await setUp(t);
  await folders.put('dev/other');
  // Who opens a pipe to read waits for a writer.
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  await assert.rejects(device.flush(), failsWith('DST_E_UNFLUSHED'));
  const beforeMs = performance.now();
  await assert.rejects(device.flush(), failsWith('DST_E_UNFLUSHED'));
  assert.ok(performance.now() - beforeMs < TIMEOUT_MS);
  const writer = await openPath(path, 'r+');
  t.after(() => closeSync(writer));
  await until(() => openings() === 1, 'the late one to be closed');
});
