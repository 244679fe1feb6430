/** md's RAID1 of a local disk and a device of ours, whose export goes away. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, lasting } from '../faults/patience.js';
import { MIB, makeSparse, startTool, tool } from '../support/end-to-end.js';
import { DeviceClient } from './device-client.js';
import { freeDevice, loopDevice, queueAttribute } from './devices.js';
import type { KernelContext } from './kernel-test.js';
import { newStore } from './store.js';
import { underKernel } from './under-kernel.js';

/** A command of the client's fails when so many resends, so far apart, were in vain. */
const RESEND_MS = 1_000;
const RESENDS = 20;
const BUDGET_ARGS = ['--resend-timeout', `${RESEND_MS}ms`, '--max-resends', `${RESENDS}`];

/** An outage well within the budget, as the export takes some time to start. */
const SHORT_OUTAGE_MS = 3_000;

/** A command is sent at once to know; until md has acted on its failure may take a while. */
const DEGRADED_WITHIN_MS = 3 * RESEND_MS * RESENDS;

const RESYNCED_WITHIN_MS = 60_000;

/** Ours keeps up with the local half; md's own data is beside it. */
const SIZE_BYTES = 32 * MIB;
const DATA_BYTES = 16 * MIB;

/** Where nothing makes the links of udev's, mdadm must not wait for them. */
process.env.MDADM_NO_UDEV = '1';

class Mirror {
  readonly path: string;
  readonly #t: KernelContext;

  private constructor(t: KernelContext, path: string) {
    this.#t = t;
    this.path = path;
  }

  /**
   * Takes both as if they were equal, which two disks of zeroes are. Without "failfast" md may try
   * each sector of a failed write once more, one by one, and each fails only past the budget.
   */
  static async create(t: KernelContext, local: string, remote: string): Promise<Mirror> {
    const path = freeMirror();
    t.after(() => tool(t, 'sh', '-c', `mdadm --quiet --stop ${path} || true`));
    await tool(
      t,
      'mdadm',
      ...['--quiet', '--create', path, '--run', '--assume-clean', '--metadata=1.2', '--failfast'],
      ...['--level=1', '--bitmap=internal', '--raid-devices=2', local, remote],
    );
    return new Mirror(t, path);
  }

  /** Whether it lacks one of its halves. */
  get degraded(): boolean {
    return queueAttribute(this.path, 'md/degraded') !== '0';
  }

  get idle(): boolean {
    return queueAttribute(this.path, 'md/sync_action') === 'idle';
  }

  /** Takes out a half that failed, and puts it back. */
  async readd(device: string): Promise<void> {
    await tool(this.#t, 'mdadm', '--quiet', this.path, '--remove', device);
    await tool(this.#t, 'mdadm', '--quiet', this.path, '--re-add', device);
  }

  async resynced(): Promise<void> {
    await eventually(() => this.idle && !this.degraded, RESYNCED_WITHIN_MS, 'the resync');
  }

  async stop(): Promise<void> {
    await tool(this.#t, 'mdadm', '--quiet', '--stop', this.path);
  }
}

function freeMirror(): string {
  for (let number = 0; ; number++) {
    if (!existsSync(`/sys/block/md${number}`)) return `/dev/md${number}`;
  }
}

/** Writes all of the data anew, past the kernel's cache. */
async function rewrite(t: KernelContext, folder: string, device: string): Promise<void> {
  const source = join(folder, 'data');
  await tool(t, 'dd', 'if=/dev/urandom', `of=${source}`, 'bs=1M', `count=${DATA_BYTES / MIB}`);
  const writing = startTool(t, 'dd', [`if=${source}`, `of=${device}`, 'bs=256K', 'oflag=direct']);
  const { code, stderr } = await writing.outcome;
  assert.equal(code, 0, stderr);
}

underKernel(import.meta.url, {
  modules: ['loop', 'raid1'],
  tests: [
    {
      name: 'goes on with both through a short outage, with one past the budget, and takes it back',
      tools: ['mdadm', 'losetup'],
      async run(t) {
        t.expectKernel(
          /^md\/raid1:md\d+: /,
          /^md(\d+)?: /,
          /^md\d+: detected capacity change/,
          // What fails past the budget.
          /^(blk_update_request: )?I\/O error, dev nbd\d+, /,
          /^block nbd\d+: Other side returned error \(5\)$/,
          /^md: super_written gets error=-?\d+$/,
        );
        const store = await newStore(t, SIZE_BYTES);
        const { folder, storePath, exporting } = store;
        const localPath = join(folder, 'local.img');
        makeSparse(localPath, SIZE_BYTES);
        const local = await loopDevice(t, localPath);
        const client = await DeviceClient.start(t, {
          ...store,
          device: freeDevice(),
          args: BUDGET_ARGS,
        });
        const mirror = await Mirror.create(t, local, client.device);

        const writing = rewrite(t, folder, mirror.path);
        await exporting.kill();
        await lasting(SHORT_OUTAGE_MS);
        await exporting.start();
        await writing;
        assert.ok(!mirror.degraded, 'a short outage is no failure');

        await exporting.kill();
        const degraded = () => mirror.degraded;
        const goingOn = rewrite(t, folder, mirror.path);
        await eventually(degraded, DEGRADED_WITHIN_MS, 'md to give the remote disk up');
        await goingOn;

        await exporting.start();
        await mirror.readd(client.device);
        await mirror.resynced();
        await mirror.stop();
        await client.stop();
        const offset = await dataOffset(t, local);
        const sums = [localPath, storePath].map((path) => dataSum(path, offset));
        assert.equal(sums[0], sums[1], 'both have the same data');
        assert.equal(sums[0], dataSum(join(folder, 'data'), 0), 'which is what was written last');
      },
    },
  ],
});

/** Where md's data begins on each of its disks. */
async function dataOffset(t: KernelContext, device: string): Promise<number> {
  const told = await tool(t, 'mdadm', '--examine', device);
  const sectors = /Data Offset : (\d+) sectors/.exec(told)?.[1];
  assert.ok(sectors !== undefined, told);
  return Number(sectors) * 512;
}

function dataSum(path: string, offset: number): string {
  const data = readFileSync(path).subarray(offset, offset + DATA_BYTES);
  return createHash('sha256').update(data).digest('hex');
}
