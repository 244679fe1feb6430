import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DeviceFile, knownDevices } from '../../src/ops/device-record.js';
import { noting } from '../export/support.js';
import { soon } from '../support/wait.js';
import { failsWith } from '../transport/fixtures.js';
import { deviceRecord, ownRuntimeFolder } from './support.js';

const NOT_NOW = { patienceMs: 0 };

async function lockedFile(t: TestContext) {
  const folder = join(ownRuntimeFolder(t), 'devices');
  const lines: { details: unknown; line: unknown }[] = [];
  const file = await DeviceFile.lock(3, { log: noting(lines) });
  t.after(() => file.release());
  return { file, lines, folder, path: join(folder, 'nbd3.json') };
}

test('a record is read as it was saved', async (t) => {
  const { file, path } = await lockedFile(t);
  assert.equal(file.load(), undefined);
  const without = deviceRecord();
  for (const record of [
    deviceRecord(),
    { ...without, session: { ...without.session, verifier: undefined, unflushed: false } },
  ]) {
    file.save(record);
    assert.deepEqual(file.load(), record);
  }
  assert.equal(lstatSync(path).mode & 0o777, 0o600);
});

test('a removed record is none', async (t) => {
  const { file } = await lockedFile(t);
  file.save(deviceRecord());
  file.remove();
  assert.equal(file.load(), undefined);
});

test('a reader sees the old record or the new one, never a part', async (t) => {
  const { file, path } = await lockedFile(t);
  file.save(deviceRecord());
  const inode = lstatSync(path).ino;
  file.save(deviceRecord({ sizeBytes: 4096 }));
  assert.notEqual(lstatSync(path).ino, inode);
});

test('a record of use to nobody counts as none, with a warning', async (t) => {
  const { file, lines, path } = await lockedFile(t);
  file.save(deviceRecord());
  const saved = readFileSync(path, 'utf8');
  for (const text of [
    '',
    'null',
    '{}',
    saved.slice(0, 40),
    saved.replace('"version":1', '"version":2'),
    saved.replace('"index":3', '"index":4'),
    saved.replace(/"bootId":"[^"]*"/, '"bootId":"another"'),
    saved.replace(/"id":"07/, '"id":"zz'),
    saved.replace('"epoch":5', '"epoch":-1'),
  ]) {
    writeFileSync(path, text);
    lines.length = 0;
    assert.equal(file.load(), undefined, text);
    assert.equal(lines.length, 1, text);
  }
});

test('a record that cannot be saved takes the last one with it, with one warning', async (t) => {
  const { file, lines, path } = await lockedFile(t);
  file.save(deviceRecord());
  for (let i = 0; i < 2; i++) {
    symlinkSync('/nowhere/at/all', `${path}.new`);
    file.save(deviceRecord());
    assert.equal(file.load(), undefined);
  }
  assert.equal(lines.length, 1);
  file.save(deviceRecord());
  assert.deepEqual(file.load(), deviceRecord());
});

test('a record that can be neither saved nor removed is an error', async (t) => {
  const { file, path } = await lockedFile(t);
  mkdirSync(path);
  assert.throws(() => file.save(deviceRecord()), failsWith('DST_E_DEVICE_RECORD'));
});

test('a device is locked by one at a time, who is named', async (t) => {
  const { file } = await lockedFile(t);
  await assert.rejects(DeviceFile.lock(3, NOT_NOW), {
    code: 'DST_E_DEVICE_IN_USE',
    message: new RegExp(`^/dev/nbd3 is served by process ${process.pid} \\(`),
  });
  (await DeviceFile.lock(4, NOT_NOW)).release();
  file.release();
  (await DeviceFile.lock(3, NOT_NOW)).release();
});

for (const replaced of [false, true]) {
  const then = replaced ? 'replaced' : 'removed';
  test(`a lock of a file that is ${then} meanwhile is not taken for one`, async (t) => {
    const { file, folder } = await lockedFile(t);
    // It has opened the file when this returns, and asks for the lock afterwards.
    const taking = DeviceFile.lock(3);
    file.release();
    if (replaced) writeFileSync(join(folder, 'nbd3.lock'), '');
    const next = await taking;
    t.after(() => next.release());
    await assert.rejects(DeviceFile.lock(3, NOT_NOW), failsWith('DST_E_DEVICE_IN_USE'));
  });
}

test('nothing is left of a lock that was let go of', async (t) => {
  const { file, folder } = await lockedFile(t);
  assert.ok(existsSync(join(folder, 'nbd3.lock')));
  file.release();
  assert.equal(existsSync(join(folder, 'nbd3.lock')), false);
});

test('devices that are locked are listed, with who serves them', async (t) => {
  const { file } = await lockedFile(t);
  const served = { index: 3, served: true, processId: process.pid };
  assert.deepEqual(await knownDevices(), [{ ...served, record: undefined }]);
  file.save(deviceRecord());
  assert.deepEqual(await knownDevices(), [{ ...served, record: deviceRecord() }]);
});

test('a device whose client was killed is listed as not served, and can be had', async (t) => {
  const folder = join(ownRuntimeFolder(t), 'devices');
  const module = new URL('../../src/ops/device-record.js', import.meta.url);
  const support = new URL('./support.js', import.meta.url);
  const script = `
    const { DeviceFile } = await import(${JSON.stringify(module)});
    const { deviceRecord } = await import(${JSON.stringify(support)});
    const file = await DeviceFile.lock(5);
    file.save(deviceRecord({ index: 5 }));
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await soon(once(child.stdout, 'data'), 'the lock');
  const [served] = await knownDevices();
  assert.deepEqual([served?.served, served?.processId], [true, child.pid]);
  child.kill('SIGKILL');
  const next = await DeviceFile.lock(5);
  t.after(() => next.release());
  assert.deepEqual(next.load(), deviceRecord({ index: 5 }));
  next.release();
  const [orphan] = await knownDevices();
  assert.deepEqual([orphan?.served, orphan?.processId], [false, undefined]);
  assert.equal(existsSync(join(folder, 'nbd5.json')), true);
});

test('records of no use are not listed', async (t) => {
  const { file, path } = await lockedFile(t);
  file.save(deviceRecord());
  writeFileSync(path, '{');
  writeFileSync(`${path}.new`, '');
  file.release();
  assert.deepEqual(await knownDevices(), []);
});

test('a lock counts where its file cannot be written', async (t) => {
  const folder = join(ownRuntimeFolder(t), 'devices');
  mkdirSync(folder);
  symlinkSync('/dev/full', join(folder, 'nbd3.lock'));
  const file = await DeviceFile.lock(3);
  t.after(() => file.release());
  await assert.rejects(DeviceFile.lock(3, NOT_NOW), {
    code: 'DST_E_DEVICE_IN_USE',
    message: /^\/dev\/nbd3 is served by another process/,
  });
});

test('where there can be no lock file, its path is named', async (t) => {
  const path = join(ownRuntimeFolder(t), 'devices/nbd3.lock');
  mkdirSync(path, { recursive: true });
  await assert.rejects(DeviceFile.lock(3), (error: Error) => {
    assert.ok(error.message.startsWith(`${path} cannot be opened (EISDIR)`), error.message);
    return failsWith('DST_E_RUNTIME_FOLDER')(error);
  });
});

test('a lock is let go of, also where its file cannot be removed', async (t) => {
  const { file, folder } = await lockedFile(t);
  rmSync(join(folder, 'nbd3.lock'));
  mkdirSync(join(folder, 'nbd3.lock'));
  file.release();
});
