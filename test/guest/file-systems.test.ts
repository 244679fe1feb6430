/** File systems and partitions of the kernel's own, on a device of ours. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { eventually } from '../faults/patience.js';
import { allocatedBytes, MIB, tool } from '../support/end-to-end.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { DeviceClient } from './device-client.js';
import { freeDevice, loopDevice, mount, unmount } from './devices.js';
import type { KernelContext, KernelTest } from './kernel-test.js';
import { newStore } from './store.js';
import { underKernel } from './under-kernel.js';

/** What is copied, by its place in the checkout. */
const REAL_TREES = ['src/nbd', 'docs'];

/** A file that is removed again, to be trimmed. */
const REMOVED_NAME = 'large';
const REMOVED_BYTES = 8 * MIB;

/** The kernel looks for partitions on a thread of its own. */
const PARTITIONS_WITHIN_MS = 30_000;

interface FileSystem {
  readonly type: string;
  readonly sizeBytes: number;
  readonly make: readonly string[];
  /** Finds errors and corrects none. */
  readonly check: readonly string[];
}

const EXT4: FileSystem = {
  type: 'ext4',
  sizeBytes: 128 * MIB,
  make: ['mkfs.ext4', '-q'],
  check: ['e2fsck', '-fn'],
};

/** mkfs.xfs wants 300 MiB. */
const XFS: FileSystem = {
  type: 'xfs',
  sizeBytes: 320 * MIB,
  make: ['mkfs.xfs', '-q'],
  check: ['xfs_repair', '-n'],
};

const BTRFS: FileSystem = {
  type: 'btrfs',
  sizeBytes: 128 * MIB,
  make: ['mkfs.btrfs', '-q'],
  check: ['btrfs', 'check', '--readonly'],
};

function wholeLife(fileSystem: FileSystem, when: KernelTest['when'] = 'always'): KernelTest {
  const { type, make, check } = fileSystem;
  const [maker = '', checker = ''] = [make[0], check[0]];
  return {
    name: `${type}: a real tree is written, trimmed, checked, and found on the store`,
    tools: [maker, checker, 'fstrim', 'losetup'],
    when,
    run: (t) => liveThrough(t, fileSystem),
  };
}

async function liveThrough(t: KernelContext, { type, sizeBytes, make, check }: FileSystem) {
  const store = await newStore(t, sizeBytes);
  const { storePath, folder } = store;
  const client = await DeviceClient.start(t, { ...store, device: freeDevice() });
  const { device } = client;
  await run(t, ...make, device);
  const mounted = join(folder, 'mounted');
  await mount(t, device, mounted);
  const large = join(mounted, REMOVED_NAME);
  await tool(t, 'dd', 'if=/dev/urandom', `of=${large}`, 'bs=1M', `count=${REMOVED_BYTES / MIB}`);
  const trees = REAL_TREES.map((tree) => join(REPOSITORY_ROOT, tree));
  await tool(t, 'cp', '-a', ...trees, mounted);
  await tool(t, 'sync', '-f', mounted);
  const fullBytes = allocatedBytes(storePath);
  await tool(t, 'rm', large);
  await tool(t, 'sync', '-f', mounted);
  await tool(t, 'fstrim', mounted);
  const trimmedBytes = fullBytes - allocatedBytes(storePath);
  assert.ok(trimmedBytes > 0.9 * REMOVED_BYTES, `${trimmedBytes} bytes came back by fstrim`);
  await unmount(t, mounted);
  await run(t, ...check, device);
  await client.stop();

  // What is on the store, without us.
  const loop = await loopDevice(t, storePath);
  const found = join(folder, 'found');
  await mount(t, loop, found, '-t', type, '-o', 'ro');
  for (const tree of trees) await tool(t, 'diff', '-r', tree, join(found, basename(tree)));
  await unmount(t, found);
}

const partitions: KernelTest = {
  name: 'partitions appear when they are made, and when their device is attached',
  tools: ['sfdisk', 'mkfs.ext4'],
  async run(t) {
    const store = await newStore(t);
    const device = freeDevice();
    const made = await DeviceClient.start(t, { ...store, device });
    await tool(t, 'sh', '-c', `printf 'label: gpt\\nsize=24M\\n;\\n' | sfdisk -q ${device}`);
    await partitionsAppear(device);
    const second = `${device}p2`;
    await tool(t, 'mkfs.ext4', '-q', second);
    const mounted = join(store.folder, 'mounted');
    await mount(t, second, mounted);
    await tool(t, 'sh', '-c', `echo kept >${mounted}/file`);
    await unmount(t, mounted);
    await made.stop();
    assert.ok(!existsSync(second), 'partitions go with their device');

    const again = await DeviceClient.start(t, { ...store, device });
    assert.ok(existsSync(second), 'a device that is ready has its partitions');
    await mount(t, second, mounted, '-o', 'ro');
    assert.equal(await tool(t, 'cat', join(mounted, 'file')), 'kept\n');
    await unmount(t, mounted);
    await again.stop();
  },
};

function partitionsAppear(device: string): Promise<void> {
  const there = () => existsSync(`${device}p1`) && existsSync(`${device}p2`);
  return eventually(there, PARTITIONS_WITHIN_MS, 'the partitions');
}

function run(t: KernelContext, ...[program = '', ...args]: string[]): Promise<string> {
  return tool(t, program, ...args);
}

underKernel(import.meta.url, {
  modules: ['loop'],
  tests: [wholeLife(EXT4), wholeLife(XFS), wholeLife(BTRFS, 'long'), partitions],
});
