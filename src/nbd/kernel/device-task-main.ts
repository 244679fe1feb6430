/** The program of a `DeviceTask`: does the work that its argument tells, and says what came of it. */
import { openPath, syncDescriptor } from '../../block/open-descriptor.js';
import type { DeviceReply, DeviceWork } from './device-task.js';
import { setQueue } from './queue-settings.js';

// Who started it has ended, or has no more use for it. Nothing that ends a process in good order
// will do: that waits for a thread which waits for the device.
const end = (): void => void process.kill(process.pid, 'SIGKILL');
process.stdin.on('end', end).on('error', end).resume();
// A service manager that stops the client asks all its processes; the client is the one to decide.
process.on('SIGTERM', () => {});

const work: DeviceWork = JSON.parse(process.argv[2] ?? '');
const reply = await perform(work).catch(
  (error: NodeJS.ErrnoException): DeviceReply => ({
    failure: { message: error.message, ...(error.errno !== undefined && { errno: error.errno }) },
  }),
);
process.stdout.write(`${JSON.stringify(reply)}\n`);

async function perform(work: DeviceWork): Promise<DeviceReply> {
  if (work.action === 'set-queue') return { unset: await setQueue(work.folder, work.settings) };
  // Never closed: what is claimed is claimed until the end.
  const fd = await openPath(work.path, work.flags);
  if (work.flush) await syncDescriptor(fd);
  return { unset: [] };
}
