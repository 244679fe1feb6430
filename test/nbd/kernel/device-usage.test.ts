import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../../src/clock.js';
import {
  backendOf,
  isAttached,
  ownerOf,
  partitionsOf,
  whoUses,
} from '../../../src/nbd/kernel/device-usage.js';
import { soon } from '../../support/wait.js';
import { type MadeUpFolders, madeUpFolders } from './made-up-folders.js';

/** nbd0 with two partitions, and nobody who uses it. */
async function diskOf(t: TestContext): Promise<MadeUpFolders> {
  const folders = await madeUpFolders(t);
  await folders.put('sys/block/nbd0/dev', '43:0\n');
  await folders.put('sys/block/nbd0/nbd0p1/dev', '43:1\n');
  await folders.put('sys/block/nbd0/nbd0p2/dev', '43:2\n');
  await folders.put('dev/nbd0');
  await folders.put('proc/swaps', 'Filename\t\t\tType\t\tSize\n/dev/sda2 partition 1 0 -2\n');
  await folders.put('proc/self/mountinfo', '20 1 8:1 / / rw - ext4 /dev/sda1 rw\n');
  return folders;
}

describe('who uses a device', () => {
  it('is nobody at first', async (t) => {
    assert.deepEqual(await whoUses(0, await diskOf(t)), []);
  });

  it('is a mount, of the device or of a partition', async (t) => {
    const folders = await diskOf(t);
    await folders.put(
      'proc/self/mountinfo',
      [
        '20 1 8:1 / / rw - ext4 /dev/sda1 rw',
        '30 20 43:0 / /mnt rw,noatime shared:1 - ext4 /dev/nbd0 rw',
        '31 20 43:2 / /with\\040space rw - xfs /dev/mapper/odd rw',
      ].join('\n'),
    );
    assert.deepEqual(await whoUses(0, folders), [
      'mounted on /mnt (nbd0)',
      'mounted on /with space (nbd0p2)',
    ]);
  });

  it('is a mount of btrfs, whose device number is its own', async (t) => {
    const folders = await diskOf(t);
    await folders.put('proc/self/mountinfo', '30 20 0:42 /sub /b rw - btrfs /dev/nbd0p1 rw');
    assert.deepEqual(await whoUses(0, folders), ['mounted on /b (nbd0p1)']);
  });

  it('is not a mount of a device with a longer name', async (t) => {
    const folders = await diskOf(t);
    await folders.put('proc/self/mountinfo', '30 20 43:320 / /mnt rw - ext4 /dev/nbd01 rw');
    assert.deepEqual(await whoUses(0, folders), []);
  });

  it('is a swap', async (t) => {
    const folders = await diskOf(t);
    await folders.put(
      'proc/swaps',
      'Filename Type\n/dev/nbd0p1 partition 1 0 -2\n/dev/nbd0 partition 1 0 -3\n',
    );
    assert.deepEqual(await whoUses(0, folders), ['swap', 'swap (nbd0p1)']);
  });

  it('is what is built on it, by the name that people give it', async (t) => {
    const folders = await diskOf(t);
    await folders.put('sys/block/nbd0/holders/md0/x');
    await folders.put('sys/block/nbd0/nbd0p1/holders/dm-3/x');
    await folders.put('sys/block/dm-3/dm/name', 'vg-data\n');
    assert.deepEqual(await whoUses(0, folders), ['used by md0', 'used by dm-3 (vg-data)']);
  });

  it('is a loop device', async (t) => {
    const folders = await diskOf(t);
    await folders.put('sys/block/loop0/loop/backing_file', '/dev/nbd0p2\n');
    await folders.put('sys/block/loop1/loop/backing_file', '/srv/image\n');
    assert.deepEqual(await whoUses(0, folders), ['used by loop0']);
  });

  it('is a process that has it open, other than this one', async (t) => {
    const folders = await diskOf(t);
    await folders.put('proc/12/comm', 'fio\n');
    await folders.link('proc/12/fd/3', '/dev/nbd0p1');
    await folders.link('proc/12/fd/4', '/dev/nbd0');
    await folders.put('proc/13/comm', 'cat\n');
    await folders.link('proc/13/fd/3', '/dev/nbd01');
    await folders.link(`proc/${process.pid}/fd/5`, '/dev/nbd0');
    // What this one has begun.
    await folders.put('proc/14/status', `Name:\tnode\nPPid:\t${process.pid}\n`);
    await folders.link('proc/14/fd/3', '/dev/nbd0');
    assert.deepEqual(await whoUses(0, folders), ['open in process 12 (fio)']);
  });
});

describe('a look at who uses a device', () => {
  it('does not wait for whoever keeps it from being opened', async (t) => {
    const folders = await diskOf(t);
    const path = `${folders.dev}/nbd1`;
    // To open a pipe that nobody writes to takes until somebody does.
    execFileSync('mkfifo', [path]);
    const impatient = {
      ...systemClock,
      after: (_: number, task: () => void) => systemClock.after(0, task),
    };
    assert.deepEqual(await soon(whoUses(1, folders, impatient), 'the look'), [
      'held up by something that waits for the export',
    ]);
  });
});

describe('the owner of a device', () => {
  it('is the process whose thread attached it', async (t) => {
    const folders = await madeUpFolders(t);
    await folders.put('sys/block/nbd4/pid', '105\n');
    await folders.put(
      'proc/105/status',
      'Name:\tlibuv\nState:\tS (sleeping)\nTgid:\t100\nPid:\t105\n',
    );
    await folders.put('proc/100/comm', 'node\n');
    assert.deepEqual(await ownerOf(4, folders), { processId: 100, name: 'node' });
  });

  it('is unknown of a device that is not attached', async (t) => {
    const folders = await madeUpFolders(t);
    assert.equal(await ownerOf(4, folders), undefined);
    assert.equal(await isAttached(4, folders), false);
  });

  it('is nobody once the process is gone, or dead and not yet buried', async (t) => {
    const folders = await madeUpFolders(t);
    await folders.put('sys/block/nbd4/pid', '105\n');
    assert.equal(await ownerOf(4, folders), undefined);
    assert.equal(await isAttached(4, folders), true);
    await folders.put('proc/105/status', 'Name:\tnode\nState:\tZ (zombie)\nTgid:\t100\n');
    assert.equal(await ownerOf(4, folders), undefined);
  });
});

it('the backend is what the kernel shows of it', async (t) => {
  const folders = await madeUpFolders(t);
  assert.equal(await backendOf(0, folders), undefined);
  await folders.put('sys/block/nbd0/backend', 'quic://host/name\n');
  assert.equal(await backendOf(0, folders), 'quic://host/name');
});

it('partitions are in order of their numbers', async (t) => {
  const folders = await madeUpFolders(t);
  for (const name of ['nbd1p10', 'nbd1p2', 'nbd1p1', 'queue', 'nbd1px']) {
    await folders.put(`sys/block/nbd1/${name}/dev`);
  }
  assert.deepEqual(await partitionsOf(1, folders), ['nbd1p1', 'nbd1p2', 'nbd1p10']);
});
