import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { constants, existsSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { failedWith } from '../../../src/block/system-error.js';
import { DeviceTask, runDeviceTask } from '../../../src/nbd/kernel/device-task.js';
import { soon, until } from '../../support/wait.js';
import { madeUpFolders } from './made-up-folders.js';
import { openersOf, openFilesOf } from './openers.js';

const MODULE = new URL('../../../src/nbd/kernel/device-task.js', import.meta.url);

async function setUp(t: TestContext) {
  const folders = await madeUpFolders(t);
  await folders.put('dev/nbd0');
  const path = join(folders.dev, 'nbd0');
  const work = { action: 'open', path, flags: constants.O_RDONLY, flush: true } as const;
  return { path, work };
}

/** Opening it to read takes until somebody writes. */
async function setUpPipe(t: TestContext) {
  const { work } = await setUp(t);
  const path = `${work.path}-pipe`;
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  return { ...work, path };
}

test('a device is open in another process, until it is let go', async (t) => {
  const { path, work } = await setUp(t);
  const task = new DeviceTask(work);
  t.after(() => task.giveUp());
  await task.result;
  const openers = openersOf(path);
  assert.equal(openers.length, 1);
  assert.notEqual(openers[0], process.pid);
  await task.letGo();
  assert.deepEqual(openersOf(path), []);
});

test('that process has nothing of what this one has open', async (t) => {
  const { path, work } = await setUp(t);
  const ours = await open('/proc/self/maps');
  t.after(() => ours.close());
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const before = openFilesOf(process.pid).filter((target) => target.startsWith('socket:'));
  const task = new DeviceTask(work);
  t.after(() => task.giveUp());
  await task.result;
  const [id = 0] = openersOf(path);
  const theirs = openFilesOf(id);
  assert.ok(theirs.length > 0);
  assert.deepEqual(
    theirs.filter((target) => target.endsWith('/maps') || before.includes(target)),
    [],
  );
});

test('what the system call failed with is told', async (t) => {
  const { work } = await setUp(t);
  await assert.rejects(runDeviceTask({ ...work, path: `${work.path}-none` }), (error: Error) => {
    assert.match(error.message, /no such file/);
    return failedWith(error, 'ENOENT');
  });
});

test('a flush that fails is told', async (t) => {
  const { work } = await setUp(t);
  // Nothing that fsync(2) would take.
  await assert.rejects(runDeviceTask({ ...work, path: '/proc/self/maps' }), (error: Error) =>
    failedWith(error, 'EINVAL'),
  );
});

test('one that waits can be given up', async (t) => {
  const task = new DeviceTask(await setUpPipe(t));
  task.giveUp();
  await soon(task.ended, 'its end');
});

test('one that waits ends with the process that began it, and does not keep it alive', async (t) => {
  const work = await setUpPipe(t);
  const script = `
    const { DeviceTask } = await import(${JSON.stringify(MODULE.href)});
    const { readFileSync } = await import('node:fs');
    const task = new DeviceTask(${JSON.stringify(work)});
    const children = readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8');
    console.log(children.trim());
    if (process.argv[1] === 'give up') task.giveUp();`;
  const begin = async (...words: readonly string[]) => {
    const options = ['--input-type=module', '-e', script, ...words];
    const child = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    const [line] = await once(child.stdout, 'data');
    const taskId = Number(line);
    t.after(() => {
      if (existsSync(`/proc/${taskId}`)) process.kill(taskId, 'SIGKILL');
    });
    return { child, taskId };
  };
  const kept = await begin();
  // It waits in the device once it has started.
  await until(() => isNode(kept.taskId), 'the process of the task');
  kept.child.kill('SIGKILL');
  await until(() => !existsSync(`/proc/${kept.taskId}`), 'its end');

  const givenUp = await begin('give up');
  const [code] = await once(givenUp.child, 'close');
  assert.equal(code, 0);
});

function isNode(processId: number): boolean {
  return readFileSync(`/proc/${processId}/cmdline`, 'utf8').includes('device-task-main');
}
