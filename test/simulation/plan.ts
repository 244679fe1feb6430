import type { DiskHabits } from './disk-handle.js';
import type { Weather } from './flow.js';
import type { Random } from './random.js';

export type FaultName =
  | 'cut'
  | 'silence'
  | 'stall'
  | 'stall and dial trouble'
  | 'dial trouble'
  | 'slow disk'
  | 'slow disk and cut'
  | 'other lanes'
  | 'kill export'
  | 'crash export'
  | 'restart export'
  | 'kill client'
  | 'take over';

/** What a seed decides before its run begins. */
export interface Plan {
  readonly blocks: number;
  readonly workers: number;
  readonly commandsPerWorker: number;
  /** On average, between two commands of a worker. */
  readonly thinkMs: number;
  readonly weather: Weather;
  readonly unheardRate: number;
  readonly disk: DiskHabits;
  readonly faults: readonly [FaultName, ...FaultName[]];
  readonly faultCount: number;
  readonly faultIntervalMs: number;
  readonly resendTimeoutMs: number;
  readonly maxResends: number;
  readonly replayBufferBytes: number;
  readonly leaseMs: number;
  /** That a client has side by side. */
  readonly lanes: number;
}

type Theme = 'network' | 'loss of disk' | 'restarts' | 'client restarts' | 'takeover';

/** An export that ends well flushes its disk, and says so where that fails. */
const ERROR_THEMES = new Set<Theme>(['network', 'loss of disk']);

const KIB = 1024;

const NETWORK_FAULTS: readonly FaultName[] = [
  'cut',
  'silence',
  'stall',
  'stall and dial trouble',
  'dial trouble',
  'slow disk',
  'slow disk and cut',
  'other lanes',
];

/**
 * Each run gets a few kinds of fault and not all: a run with everything in it is mostly
 * outage, and finds less.
 */
export function makePlan(random: Random): Plan {
  const theme = random.pick<Theme>([
    'network',
    'network',
    'loss of disk',
    'restarts',
    'client restarts',
    'takeover',
  ]);
  const faults = pickFaults(theme, random);
  const disk = makeDiskHabits(theme, random);
  const commandsPerWorker = 10 + random.below(30);
  const faultCount = 3 + random.below(8);
  const faultIntervalMs = random.pick([500, 2_000, 4_000]);
  return {
    blocks: random.pick([4, 8, 16]),
    workers: random.pick([2, 4, 6]),
    commandsPerWorker,
    // The faults take about as long as the work.
    thinkMs: (faultCount * faultIntervalMs) / commandsPerWorker,
    weather: makeWeather(random),
    unheardRate: random.pick([0, 0.3, 0.8]),
    disk,
    faults,
    faultCount,
    faultIntervalMs,
    resendTimeoutMs: random.pick([1_500, 3_000, 5_000]),
    maxResends: random.chance(0.25) ? 1 + random.below(3) : Number.POSITIVE_INFINITY,
    // Near its bound a client flushes by itself, and where that fails, promises nothing more.
    replayBufferBytes: disk.errorRate > 0 ? 64 * KIB * KIB : random.pick([8 * KIB, 64 * KIB * KIB]),
    leaseMs: random.pick([3_000, 60_000]),
    lanes: random.pick([1, 1, 2, 3, 4]),
  };
}

function pickFaults(theme: Theme, random: Random): readonly [FaultName, ...FaultName[]] {
  const some = NETWORK_FAULTS.filter(() => random.chance(0.4));
  if (random.chance(0.2)) some.push('kill client');
  switch (theme) {
    case 'network':
      return ['cut', 'stall and dial trouble', ...some];
    case 'loss of disk':
      return ['crash export', ...some];
    case 'restarts':
      return ['kill export', 'restart export', 'crash export', ...some];
    case 'client restarts':
      return ['kill client', 'kill client', 'kill export', 'crash export', ...some];
    // An export that restarts forgets whom it fenced: those are never together.
    case 'takeover':
      return ['take over', 'slow disk', ...some];
  }
}

function makeWeather(random: Random): Weather {
  const latencyMs = random.magnitude(0.1, 50);
  return {
    latencyMs,
    jitterMs: latencyMs * random.pick([0, 0.5, 3]),
    lossRate: random.pick([0, 0.01, 0.1]),
    resendMs: 30 + 3 * latencyMs,
    splitRate: random.pick([0, 0.1, 0.5]),
    stallRate: random.pick([0, 0, 0.01, 0.03]),
    stallMsMax: random.pick([500, 3_000, 15_000]),
    silentUntilMs: 0,
  };
}

function makeDiskHabits(theme: Theme, random: Random): DiskHabits {
  return {
    latencyMs: random.magnitude(0.05, 5),
    slowRate: random.pick([0, 0.01, 0.05]),
    slowMsMax: random.pick([200, 2_000, 8_000]),
    errorRate: ERROR_THEMES.has(theme) ? random.pick([0, 0, 0.05]) : 0,
  };
}
