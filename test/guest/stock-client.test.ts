/** The kernel's driver by the stock nbd-client, over the bridge's Unix socket. */
import { join } from 'node:path';
import { startPair, tool } from '../support/end-to-end.js';
import { freeDevice, mount, unmount } from './devices.js';
import { underKernel } from './under-kernel.js';

underKernel(import.meta.url, {
  tests: [
    {
      name: 'nbd-client attaches the bridge, and a file system on it is whole',
      tools: ['nbd-client', 'mkfs.ext4', 'e2fsck'],
      async run(t) {
        const pair = await startPair(t);
        const device = freeDevice();
        const attach = ['-unix', pair.socketPath, '-name', 'disk', '-connections', '2'];
        await tool(t, 'nbd-client', ...attach, device);
        t.after(() => tool(t, 'nbd-client', '-d', device));
        await tool(t, 'mkfs.ext4', '-q', device);
        const folder = join(pair.folder, 'mounted');
        await mount(t, device, folder);
        await tool(t, 'sh', '-c', `dd if=/dev/urandom bs=1M count=8 status=none >${folder}/data`);
        await unmount(t, folder);
        await tool(t, 'e2fsck', '-fn', device);
        await tool(t, 'nbd-client', '-d', device);
        // Node says so in a guest, which has no large pages.
        await pair.stop(/^Hugepages WARNING/);
      },
    },
  ],
});
