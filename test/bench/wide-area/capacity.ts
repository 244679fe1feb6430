/** What a link carries when nothing is measured but itself. */
import { parseFioReport } from '../fio-report.js';
import { freePort, listensAt } from '../ports.js';
import type { Rig } from '../rig.js';
import { type Line, startLink } from './link.js';

const SECONDS = 2;

/** In which TCP finds its pace. */
const RAMP_SECONDS = 1;

export interface Capacity {
  readonly bitsPerSecond: number;
  /** The share of one processor that carrying takes. */
  readonly cpuShare: number;
}

/** Sends by one TCP connection, from fio to fio, as much as goes. */
export async function measureCapacity(rig: Rig, line: Line): Promise<Capacity> {
  const { hosts, carrier } = await startLink(rig, line);
  const port = await freePort();
  const common = [
    ...['fio', '--name=link', '--ioengine=net', '--protocol=tcp', `--port=${port}`],
    ...['--bs=128k', '--size=1t', '--time_based', '--unified_rw_reporting=mixed'],
  ];
  const listener = await rig.start(
    {
      name: 'fio, which listens,',
      words: hosts.onServer([...common, '--listen', '--rw=read', `--runtime=${2 * SECONDS}`]),
    },
    listensAt(port),
  );
  const beforeSeconds = carrier.cpuSeconds;
  const beganMs = performance.now();
  const report = await rig.run(
    hosts.onClient([
      ...[...common, `--hostname=${hosts.serverHost}`, '--rw=write', '--output-format=json'],
      ...[`--ramp_time=${RAMP_SECONDS}`, `--runtime=${SECONDS}`],
    ]),
  );
  const cpuSeconds = carrier.cpuSeconds - beforeSeconds;
  const wallSeconds = (performance.now() - beganMs) / 1000;
  await listener.stop();
  const { bytesPerSecond } = parseFioReport(report);
  return { bitsPerSecond: bytesPerSecond * 8, cpuShare: cpuSeconds / wallSeconds };
}
