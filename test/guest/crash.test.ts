/** The export's machine loses power under a mounted file system: what was synced is there. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KIB, MIB, tool } from '../support/end-to-end.js';
import { DeviceClient, isRefusal, runHere, startClient } from './device-client.js';
import { FLUSHED_WHEN_ASKED, freeDevice, loopDevice, mount, unmount } from './devices.js';
import type { KernelContext } from './kernel-test.js';
import { LOSABLE_STORE_TOOLS, LosableStore } from './losable-store.js';
import { checkFiles, NumberedFiles } from './numbered-files.js';
import { underKernel } from './under-kernel.js';

const LOSSES = process.env.LONG === '1' ? 30 : 2;

/** Files between two losses. */
const FILES = 20;

/** What is acknowledged and not flushed at each loss: well below the client's replay buffer. */
const UNFLUSHED_BYTES = 4 * MIB;

/** Data that no flush covers when the power goes. */
class UnflushedData {
  readonly #t: KernelContext;
  readonly #path: string;
  readonly #source: string;
  data = Buffer.alloc(0);

  constructor(t: KernelContext, mounted: string, folder: string) {
    this.#t = t;
    this.#path = join(mounted, 'unflushed');
    this.#source = join(folder, 'source');
  }

  /** Blocks for it, so that to write it changes nothing else. */
  async prepare(): Promise<void> {
    await this.renew('conv=fsync');
  }

  async renew(...how: string[]): Promise<void> {
    this.data = randomBytes(UNFLUSHED_BYTES);
    writeFileSync(this.#source, this.data);
    const files = [`if=${this.#source}`, `of=${this.#path}`];
    await tool(this.#t, 'dd', ...files, `bs=${256 * KIB}`, 'status=none', ...how);
  }

  /** Past the caches of the kernel, not those of the export. */
  async write(): Promise<void> {
    await this.renew('oflag=direct', 'conv=notrunc');
  }

  /** Whether any of it is in a file, of which the first and the last block are looked for. */
  isIn(path: string): boolean {
    const file = readFileSync(path);
    const ends = [this.data.subarray(0, 4 * KIB), this.data.subarray(-4 * KIB)];
    return ends.some((block) => file.includes(block));
  }

  async readBack(): Promise<Buffer> {
    const copy = `${this.#source}-read`;
    const files = [`if=${this.#path}`, `of=${copy}`];
    await tool(this.#t, 'dd', ...files, `bs=${256 * KIB}`, 'status=none', 'iflag=direct');
    return readFileSync(copy);
  }
}

/** A client on a store that can be lost, with a file system and what is written to it. */
async function startVictim(t: KernelContext) {
  const store = await LosableStore.start(t);
  const { folder, exporting } = store;
  const client = await DeviceClient.start(t, { folder, exporting, device: freeDevice() });
  await tool(t, 'mkfs.ext4', '-q', client.device);
  const mounted = join(folder, 'mounted');
  await mount(t, client.device, mounted, ...FLUSHED_WHEN_ASKED);
  const unflushed = new UnflushedData(t, mounted, folder);
  await unflushed.prepare();
  return { store, folder, client, mounted, unflushed, files: new NumberedFiles(mounted) };
}

type Victim = Awaited<ReturnType<typeof startVictim>>;

/** The client lives through it. */
async function loseTimeAndAgain(t: KernelContext, victim: Victim): Promise<void> {
  const { store, folder, client, mounted, unflushed, files } = victim;
  for (let loss = 1; loss <= LOSSES; loss++) {
    files.start();
    await files.progress(FILES);
    // Each second time they go on while the power goes, and flush what there is to be lost.
    const quiet = loss % 2 === 1;
    if (quiet) await files.stop();
    await unflushed.write();
    const { synced } = files;
    const found = await store.losePower();
    if (quiet) assert.ok(!unflushed.isIn(found), 'what was not flushed is lost');
    await checkFound(t, found, synced);
    await store.restart();
    assert.ok((await unflushed.readBack()).equals(unflushed.data), 'what was acked is there');
    await files.stop();
  }
  await unmount(t, mounted);
  await tool(t, 'e2fsck', '-fn', client.device);
  const last = join(folder, 'last.img');
  copyFileSync(store.path, last);
  await checkFound(t, last, files.synced);
}

/** The client goes with it: the next one is told. */
async function loseBoth(t: KernelContext, victim: Victim): Promise<void> {
  // What is mounted finds its disk gone.
  t.expectKernel(/\bnbd\d+/, /^EXT4-fs/, /^JBD2/, /^ldm_validate_partition_table/);
  const { store, folder, client, mounted, unflushed, files } = victim;
  const { device } = client;
  await mount(t, device, mounted, ...FLUSHED_WHEN_ASKED);
  files.start();
  await files.progress(FILES);
  await files.stop();
  await unflushed.write();
  await client.kill();
  const found = await store.losePower();
  await checkFound(t, found, files.synced);
  await store.restart();
  const setup = { folder, exporting: store.exporting, device };
  const next = startClient(t, setup);
  isRefusal(await next.outcome, 'DST_E_REPLAY_LOST', 'check the file system');
  const refused = await runHere(t, folder, 'disconnect', device);
  isRefusal(refused, 'DST_E_DEVICE_BUSY', `mounted on ${mounted}`);
  const forced = await runHere(t, folder, 'disconnect', device, '--force');
  assert.equal(forced.code, 0, forced.stderr);
  await unmount(t, mounted);

  const fresh = await DeviceClient.start(t, setup);
  await mount(t, device, mounted);
  await checkFiles(mounted, files.synced);
  await unmount(t, mounted);
  await tool(t, 'e2fsck', '-fn', device);
  await fresh.stop();
}

/** Fails unless a copy of the store has all files that were synced before it was made. */
async function checkFound(t: KernelContext, copy: string, synced: number): Promise<void> {
  const device = await loopDevice(t, copy);
  const folder = `${copy}-mounted`;
  await mount(t, device, folder);
  await checkFiles(folder, synced);
  await unmount(t, folder);
  await tool(t, 'e2fsck', '-fn', device);
}

underKernel(import.meta.url, {
  modules: ['loop'],
  tests: [
    {
      name: `${LOSSES} times: each file whose fsync had returned is on the disk, whole; the client makes the rest again; with the client lost too, the next one is told`,
      tools: [...LOSABLE_STORE_TOOLS, 'e2fsck'],
      async run(t) {
        const victim = await startVictim(t);
        await loseTimeAndAgain(t, victim);
        await loseBoth(t, victim);
      },
    },
  ],
});
