/** What link.c makes: two hosts joined by a line that is long, of one speed, and lossy. */
import { join } from 'node:path';
import { REPOSITORY_ROOT } from '../../support/paths.js';
import type { Process } from '../processes.js';
import type { Rig } from '../rig.js';
import { TwoHosts } from '../two-hosts.js';

const SOURCE = join(REPOSITORY_ROOT, 'test', 'bench', 'wide-area', 'link.c');

/** As link.c calls the device of either host. */
const DEVICE = 'wide';

/** What a router of such a line may hold. */
const QUEUE_BYTES = 4_000_000;

export interface Line {
  /** There and back. */
  readonly rttMs: number;
  /** Of the packets that go one way, the share that is lost. */
  readonly loss: number;
  readonly bitsPerSecond: number;
}

export interface Link {
  readonly hosts: TwoHosts;
  /** What carries the packets: its processor time is taken from those who are measured. */
  readonly carrier: Process;
}

/** Joins two new hosts by such a line. Needs root, gcc and /dev/net/tun. */
export async function startLink(rig: Rig, { rttMs, loss, bitsPerSecond }: Line): Promise<Link> {
  const hosts = new TwoHosts(rig);
  const program = join(rig.folder, 'link');
  await rig.run(['gcc', '-O2', '-o', program, SOURCE]);
  const carrier = await rig.start(
    {
      name: 'the link',
      words: [
        ...[program, hosts.server, hosts.client],
        ...[rttMs * 1000, loss * 1e6, bitsPerSecond / 1000, QUEUE_BYTES].map(whole),
      ],
      holdInput: true,
    },
    ({ output }) => output.startsWith('ready'),
  );
  hosts.bringUp(DEVICE);
  return { hosts, carrier };
}

function whole(value: number): string {
  return value.toFixed(0);
}
