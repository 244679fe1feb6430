/** A client that dies, and one that takes its device over. */
import { join } from 'node:path';
import { eventually } from '../faults/patience.js';
import { tool } from '../support/end-to-end.js';
import { DeviceClient } from './device-client.js';
import { freeDevices, mount, SOCKETS_REPLACED, unmount } from './devices.js';
import type { KernelContext } from './kernel-test.js';
import { checkFiles, NumberedFiles } from './numbered-files.js';
import { newStore } from './store.js';
import { underKernel } from './under-kernel.js';

/** Files that are synced before the client dies, and after. */
const FILES = 20;

/** A process that is killed is gone at once, but for what the machine does beside; well below the
 * 30 s after which the kernel would give up what it waits for. */
const GONE_WITHIN_MS = 20_000;

/** Writes wait and go on, and all files are there. */
async function killUnderFileSystem(t: KernelContext, device: string): Promise<void> {
  const store = await newStore(t);
  const first = await DeviceClient.start(t, { ...store, device });
  const mounted = join(store.folder, 'mounted');
  await tool(t, 'mkfs.ext4', '-q', device);
  await mount(t, device, mounted);
  const files = new NumberedFiles(mounted);
  files.start();
  await files.progress(FILES);
  await first.kill();
  const next = await DeviceClient.start(t, { ...store, device });
  await files.progress(FILES);
  await files.stop();
  await checkFiles(mounted, files.synced);
  await unmount(t, mounted);
  await tool(t, 'e2fsck', '-fn', device);
  await next.stop();
}

/** It is gone, and the device goes on. */
async function killWhileItFlushes(t: KernelContext, device: string): Promise<void> {
  const store = await newStore(t);
  const first = await DeviceClient.start(t, { ...store, device });
  await tool(t, 'dd', 'if=/dev/zero', `of=${device}`, 'bs=64K', 'count=16', 'status=none');
  store.exporting.child.kill('SIGSTOP');
  first.running.child.kill('SIGTERM');
  await first.running.logged('DST_E_UNFLUSHED');
  let gone = false;
  void first.kill().then(() => {
    gone = true;
  });
  await eventually(() => gone, GONE_WITHIN_MS, 'the client to be gone');
  store.exporting.child.kill('SIGCONT');
  const next = await DeviceClient.start(t, { ...store, device });
  await tool(t, 'dd', `if=${device}`, 'of=/dev/null', 'bs=64K', 'iflag=direct', 'status=none');
  // The kernel flushes a device one flush after another, so this waits for the first one.
  await tool(t, 'dd', 'if=/dev/zero', `of=${device}`, 'bs=64K', 'count=1', 'conv=fsync');
  await next.stop();
}

underKernel(import.meta.url, {
  tests: [
    {
      name: 'killed (-9) under a mounted file system, and beside that while it flushes to an export that hangs: both devices go on',
      tools: ['mkfs.ext4', 'e2fsck'],
      async run(t) {
        t.expectKernel(SOCKETS_REPLACED);
        const [first = '', second = ''] = freeDevices(2);
        // Side by side, as each waits 30 s for the kernel to give up what the dead client had.
        await Promise.all([killUnderFileSystem(t, first), killWhileItFlushes(t, second)]);
      },
    },
  ],
});
