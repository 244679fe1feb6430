import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { applyQueueSettings, setQueue } from '../../../src/nbd/kernel/queue-settings.js';
import { type MadeUpFolders, madeUpFolders } from './made-up-folders.js';

const NAMES = ['scheduler', 'read_ahead_kb', 'max_sectors_kb', 'rotational', 'io_timeout'];

async function queueOf(t: Parameters<typeof madeUpFolders>[0]): Promise<MadeUpFolders> {
  const folders = await madeUpFolders(t);
  for (const name of NAMES) await folders.put(`sys/block/nbd0/queue/${name}`, '');
  await folders.put('sys/block/nbd0/queue/max_hw_sectors_kb', '32768\n');
  return folders;
}

/** In this process, so that it is quick. */
function setIn(folders: MadeUpFolders, settings: { rotational: boolean; tune: boolean }) {
  return setQueue(`${folders.sys}/block/nbd0/queue`, settings);
}

function settingOf(folders: MadeUpFolders, name: string): Promise<string> {
  return readFile(`${folders.sys}/block/nbd0/queue/${name}`, 'utf8');
}

describe('the queue of an attached device', () => {
  it('gets what makes it fast', async (t) => {
    const folders = await queueOf(t);
    assert.deepEqual(await applyQueueSettings(0, { rotational: true, tune: true }, folders), []);
    const values = await Promise.all(NAMES.map((name) => settingOf(folders, name)));
    assert.deepEqual(values, ['none', '4096', '1024', '1', '30000']);
  });

  it('gets only what must be, if asked', async (t) => {
    const folders = await queueOf(t);
    assert.deepEqual(await setIn(folders, { rotational: false, tune: false }), []);
    const values = await Promise.all(NAMES.map((name) => settingOf(folders, name)));
    assert.deepEqual(values, ['', '', '', '0', '30000']);
  });

  it('gets no larger commands than the driver can have', async (t) => {
    const folders = await queueOf(t);
    await folders.put('sys/block/nbd0/queue/max_hw_sectors_kb', '512\n');
    await setIn(folders, { rotational: true, tune: true });
    assert.equal(await settingOf(folders, 'max_sectors_kb'), '512');
  });

  it('is told of what cannot be set, and the rest is set', async (t) => {
    const folders = await madeUpFolders(t);
    await folders.put('sys/block/nbd0/queue/read_ahead_kb', '128\n');
    const failures = await setIn(folders, { rotational: true, tune: true });
    assert.deepEqual(failures, [
      'rotational to 1 (ENOENT)',
      'io_timeout to 30000 (ENOENT)',
      'scheduler to none (ENOENT)',
      'max_sectors_kb to 1024 (ENOENT)',
    ]);
  });

  it('is left alone where it is so already, since the kernel stops the device for each', async (t) => {
    const folders = await queueOf(t);
    // None of these would be read like this after a write.
    const shown = ['[none] mq-deadline', '4096\n', '1024\n', '0\n', '30000\n'];
    for (const [at, name] of NAMES.entries()) {
      await folders.put(`sys/block/nbd0/queue/${name}`, shown[at]);
    }
    assert.deepEqual(await setIn(folders, { rotational: false, tune: true }), []);
    const values = await Promise.all(NAMES.map((name) => settingOf(folders, name)));
    assert.deepEqual(values, shown);
  });

  it('gets another scheduler than the one that is chosen', async (t) => {
    const folders = await queueOf(t);
    await folders.put('sys/block/nbd0/queue/scheduler', '[kyber] none\n');
    await setIn(folders, { rotational: false, tune: true });
    assert.match(await settingOf(folders, 'scheduler'), /^none/);
  });
});
