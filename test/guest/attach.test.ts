/** Attaching and detaching: who may, who is refused and is told why, and what is left behind. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NbdDriver } from '../../src/nbd/kernel/driver.js';
import { MAIN, runCommand, startProgram, temporaryFolder } from '../cli/command.js';
import { eventually } from '../faults/patience.js';
import { heldBy } from '../faults/processes.js';
import { MIB, tool } from '../support/end-to-end.js';
import { attachOnce } from './attach-once.js';
import {
  connectWords,
  DeviceClient,
  environment,
  isRefusal,
  runHere,
  startClient,
} from './device-client.js';
import { freeDevice, indexOf, mount, sizeBytesOf, unmount } from './devices.js';
import { isIoFlusher, withoutIoFlusher } from './io-flusher.js';
import type { KernelContext } from './kernel-test.js';
import { newStore, type Store } from './store.js';
import { underKernel } from './under-kernel.js';

/** Clients that come and go. */
const CLIENTS = 200;

/** Attachments within one process. */
const CYCLES = 200;

const RESIZED_WITHIN_MS = 30_000;

/** A connection that has ended is given up by the engine after 30 s. */
const LET_GO_WITHIN_MS = 45_000;

underKernel(import.meta.url, {
  tests: [
    {
      name: 'a device is attached, written, told of, resized and detached; nothing stays behind',
      when: 'brief',
      async run(t) {
        const store = await newStore(t);
        const device = freeDevice();
        withoutIoFlusher(t);
        const client = await DeviceClient.start(t, { ...store, device });
        assert.equal(client.device, device);
        assert.ok(isIoFlusher(client.running.child.pid), 'it made itself an I/O flusher');
        assert.equal(sizeBytesOf(device), store.sizeBytes);
        const written = join(store.folder, 'random');
        writeFileSync(written, randomBytes(MIB));
        await write(t, written, device);
        await tool(t, 'cmp', '-n', `${MIB}`, store.storePath, written);
        const { code, stdout, stderr } = await runHere(t, store.folder, 'status', '--json');
        assert.equal(code, 0, stderr);
        const [told, ...others] = JSON.parse(stdout);
        assert.deepEqual(others, []);
        assert.equal(told.device, device);
        assert.equal(told.state, 'connected');
        assert.equal(told.sizeBytes, store.sizeBytes);
        const grownBytes = 2 * store.sizeBytes;
        truncateSync(store.storePath, grownBytes);
        store.exporting.child.kill('SIGHUP');
        await eventually(() => sizeBytesOf(device) === grownBytes, RESIZED_WITHIN_MS, 'the size');
        await detach(t, client, device);
        assert.equal(sizeBytesOf(device), 0);
        assert.deepEqual(runtimeFiles(store.folder), []);
      },
    },
    {
      name: 'without root, and without the driver, it says what is missing',
      tools: ['setpriv'],
      async run(t) {
        // Nobody is there: it is not asked for.
        const exporting = { address: { host: '127.0.0.1', port: 9 } };
        const setup = { folder: temporaryFolder(t), exporting, device: freeDevice() };
        const options = { cwd: setup.folder, env: environment(setup.folder) };
        const unprivileged = ['--bounding-set=-sys_admin', '--inh-caps=-sys_admin'];
        const command = [process.execPath, MAIN, ...connectWords(setup)];
        const noRoot = startProgram(t, 'setpriv', [...unprivileged, ...command], options);
        isRefusal(await noRoot.outcome, 'DST_E_NOT_ROOT', 'root');
        await tool(t, 'modprobe', '-r', 'nbd');
        t.after(() => tool(t, 'modprobe', 'nbd', 'max_part=8'));
        isRefusal(await startClient(t, setup).outcome, 'DST_E_NO_DRIVER', 'modprobe nbd');
      },
    },
    {
      name: 'two clients serve two devices at once; mounted, one goes by --force alone, one waits',
      tools: ['mkfs.ext4'],
      async run(t) {
        // Whoever is second finds the device taken that was free when it looked.
        t.expectKernel(/^nbd: nbd\d+ already in use$/);
        const stores = [await newStore(t), await newStore(t)] as const;
        const clients = await Promise.all([
          DeviceClient.start(t, { ...stores[0], device: 'auto' }),
          DeviceClient.start(t, { ...stores[1], device: 'auto' }),
        ]);
        assert.notEqual(clients[0].device, clients[1].device);
        await Promise.all(stores.map((store, i) => writeRandom(t, store, clients[i]?.device)));
        await Promise.all(clients.map((client, i) => writeFileSystem(t, client, `file ${i}`)));
        await forceTakes(t, clients[0]);
        await secondIsRefused(t, stores[1], clients[1]);
        await sigtermWaits(t, clients[1]);
        for (const [i, { storePath }] of stores.entries()) {
          await tool(t, 'grep', '-q', `file ${i}`, storePath);
        }
      },
    },
    {
      name: `${CLIENTS} more clients of a device leave nothing behind`,
      when: 'long',
      async run(t) {
        const store = await newStore(t);
        const device = freeDevice();
        const comeAndGo = async () => (await DeviceClient.start(t, { ...store, device })).stop();
        await comeAndGo();
        const before = heldBy(store.exporting);
        for (let i = 0; i < CLIENTS; i++) await comeAndGo();
        const letGo = () => heldBy(store.exporting).descriptors <= before.descriptors;
        await eventually(letGo, LET_GO_WITHIN_MS, 'the export to let go of its connections');
        assert.deepEqual(runtimeFiles(store.folder), []);
      },
    },
    {
      name: `${CYCLES} attachments within one process leave nothing behind`,
      async run(t) {
        const driver = await NbdDriver.open();
        t.after(() => driver.close());
        const index = indexOf(freeDevice());
        const descriptors = () => readdirSync('/proc/self/fd').length;
        await attachOnce(driver, index);
        const before = descriptors();
        for (let i = 0; i < CYCLES; i++) await attachOnce(driver, index);
        await eventually(() => descriptors() <= before, LET_GO_WITHIN_MS, 'all to be closed');
      },
    },
  ],
});

/** Writes the beginning of a device, and finds it on the store. */
async function writeRandom(
  t: KernelContext,
  { folder, storePath }: Store,
  device = '',
): Promise<void> {
  const file = join(folder, 'random');
  writeFileSync(file, randomBytes(4 * MIB));
  await write(t, file, device);
  await tool(t, 'cmp', '-n', `${4 * MIB}`, storePath, file);
}

/** Makes a file system, mounts it in the client's folder, and writes a file through to the disk. */
async function writeFileSystem(t: KernelContext, client: DeviceClient, text: string) {
  await tool(t, 'mkfs.ext4', '-q', client.device);
  await mount(t, client.device, mountedFolder(client));
  writeFileSync(join(mountedFolder(client), 'file'), text.repeat(MIB / text.length));
  await tool(t, 'sync', '-f', mountedFolder(client));
}

function mountedFolder({ folder }: DeviceClient): string {
  return join(folder, 'mounted');
}

/** A device that is mounted is detached by force alone, and was served until then. */
async function forceTakes(t: KernelContext, client: DeviceClient): Promise<void> {
  // What is mounted finds its disk gone.
  const name = client.device.replace('/dev/', '');
  t.expectKernel(new RegExp(`\\b${name}\\b`), /^ldm_validate_partition_table/);
  const mounted = mountedFolder(client);
  const refused = await runHere(t, client.folder, 'disconnect', client.device);
  isRefusal(refused, 'DST_E_DEVICE_BUSY', `mounted on ${mounted}`);
  writeFileSync(join(mounted, 'served'), 'still');
  await tool(t, 'sync', '-f', mounted);
  await detach(t, client, client.device, '--force');
  await unmount(t, mounted);
}

/** Who attached a device is said to the next. */
async function secondIsRefused(t: KernelContext, store: Store, client: DeviceClient) {
  // With other runtime files only the kernel knows.
  const env = { ...environment(store.folder), DST_QUIC_RUNTIME_DIR: 'elsewhere' };
  const words = connectWords({ ...store, device: client.device });
  const second = await runCommand(t, words, { cwd: store.folder, env });
  isRefusal(second, 'DST_E_DEVICE_IN_USE', `${client.running.child.pid}`);
}

async function sigtermWaits(t: KernelContext, client: DeviceClient): Promise<void> {
  client.running.child.kill('SIGTERM');
  await client.running.logged(`mounted on ${mountedFolder(client)}`);
  await unmount(t, mountedFolder(client));
  await client.stop();
}

/** Past the kernel's cache. */
async function write(t: KernelContext, file: string, device: string): Promise<void> {
  await tool(t, 'dd', `if=${file}`, `of=${device}`, 'bs=64K', 'oflag=direct', 'status=none');
}

/** By the command, which must go well. */
async function detach(t: KernelContext, client: DeviceClient, ...words: string[]): Promise<void> {
  const { code, stderr } = await runHere(t, client.folder, 'disconnect', ...words);
  await client.ended();
  assert.equal(code, 0, stderr);
}

/** Files, without the folders that they lie in. */
function runtimeFiles(folder: string): string[] {
  const below = readdirSync(join(folder, 'run'), { recursive: true, withFileTypes: true });
  return below.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
}
