import { KIB, MIB } from '../support/end-to-end.js';
import type { Cell } from './cells.js';
import type { Contender } from './contenders.js';
import { fioWords, type Run } from './fio.js';
import { type FioSample, parseFioReport } from './fio-report.js';
import { idleShareSince, machineTime } from './machine-time.js';
import type { Place } from './place.js';
import type { Process } from './processes.js';
import type { Rig } from './rig.js';
import { rotated } from './statistics.js';

/** One run of fio, and what the contenders' processes used meanwhile. */
export interface Measurement extends FioSample {
  readonly wallSeconds: number;
  /** Nothing where the client is fio itself. */
  readonly clientCpuSeconds: number;
  readonly serverCpuSeconds: number;
  /** Of all the others together, which nobody talked to. */
  readonly idleCpuSeconds: number;
  /** Of the link between the two hosts; nothing where the kernel alone carries packets. */
  readonly linkCpuSeconds: number;
  /** The share of the time in which a processor of this machine had nothing to do. */
  readonly machineIdleShare: number;
}

/** Where the measured run. */
export interface Field {
  readonly rig: Rig;
  readonly place: Place;
  readonly contenders: readonly Contender[];
  /** The process that joins the two hosts. */
  readonly link?: Process;
}

/**
 * What nobody measures: services run for days, and what they do in their first second, as
 * compiling their JavaScript, tells little of that. Small commands need the longer one: a command
 * takes the same code, whatever its size.
 */
const WARM_UP: readonly { readonly cell: Cell; readonly sampleMs: number }[] = [
  {
    cell: { name: 'small warm-up', pattern: 'randrw', blockBytes: 4 * KIB, depth: 32 },
    sampleMs: 1700,
  },
  {
    cell: { name: 'large warm-up', pattern: 'randrw', blockBytes: 128 * KIB, depth: 16 },
    sampleMs: 800,
  },
];

const WARM_UP_SPAN_BYTES = 64 * MIB;

/** The measurements of each contender in the order of its rounds. */
export type Measured = ReadonlyMap<Contender, readonly Measurement[]>;

/** Has all do for a moment what they will be measured at. */
export async function warmUp(field: Field): Promise<void> {
  for (const { cell, sampleMs } of WARM_UP) {
    await measureCell(field, cell, { rampMs: 0, sampleMs, spanBytes: WARM_UP_SPAN_BYTES }, 1);
  }
}

/** Measures all in turns, so many rounds, in each of which another one goes first. */
export async function measureCell(
  field: Field,
  cell: Cell,
  run: Run,
  rounds: number,
): Promise<Measured> {
  const { contenders } = field;
  const measured = new Map(contenders.map((each) => [each, [] as Measurement[]]));
  for (let round = 0; round < rounds; round++) {
    for (const contender of rotated(contenders, round)) {
      measured.get(contender)?.push(await measureOnce(field, contender, cell, run));
    }
  }
  return measured;
}

async function measureOnce(
  { rig, place, contenders, link }: Field,
  contender: Contender,
  cell: Cell,
  run: Run,
): Promise<Measurement> {
  const before = new Map(contenders.map((each) => [each, cpuOf(each)]));
  const linkBeforeSeconds = link?.cpuSeconds ?? 0;
  const beganMs = performance.now();
  const machine = machineTime();
  const words = fioWords(contender.uri, cell, run);
  const report = await rig.run(place.onClient(words), `fio, ${cell.name}, ${contender.name},`);
  const wallSeconds = (performance.now() - beganMs) / 1000;
  const machineIdleShare = idleShareSince(machine);
  const linkCpuSeconds = (link?.cpuSeconds ?? 0) - linkBeforeSeconds;
  const used = new Map(contenders.map((each) => [each, usedSince(each, before.get(each))]));
  const own = used.get(contender) ?? NOTHING;
  const all = [...used.values()].reduce((sum, { client, server }) => sum + client + server, 0);
  return {
    ...parseFioReport(report),
    wallSeconds,
    clientCpuSeconds: own.client,
    serverCpuSeconds: own.server,
    idleCpuSeconds: all - own.client - own.server,
    linkCpuSeconds,
    machineIdleShare,
  };
}

/** Processor time of either end, seconds. */
interface EndsCpu {
  readonly client: number;
  readonly server: number;
}

const NOTHING: EndsCpu = { client: 0, server: 0 };

function cpuOf({ client, server }: Contender): EndsCpu {
  return { client: client?.cpuSeconds ?? 0, server: server.cpuSeconds };
}

function usedSince(contender: Contender, before = NOTHING): EndsCpu {
  const { client, server } = cpuOf(contender);
  return { client: client - before.client, server: server - before.server };
}
