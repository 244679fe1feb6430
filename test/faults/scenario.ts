/** One fault, and what it cost: how every scenario is run and measured. */
import type { Scheme } from '../../src/client/address.js';
import type { Cleanup } from '../support/cleanup.js';
import type { LoadReport } from './load.js';
import { skipWithoutNamespaces } from './namespaces.js';
import { eventually } from './patience.js';
import { type Held, heldBy, type SessionCounters } from './processes.js';
import {
  type NamespaceRig,
  type RelayRig,
  type Rig,
  type RigOptions,
  startNamespaceRig,
  startTcpRig,
  startUdpRig,
} from './rig.js';
import type { TcpRelay } from './tcp-relay.js';
import type { UdpRelay } from './udp-relay.js';

interface Common extends RigOptions {
  /** For `ONLY=`. */
  readonly name: string;
  /** For the table. */
  readonly fault: string;
  /** What is promised of it. */
  readonly promise?: Promised;
}

export interface Promised {
  readonly stallMsMax?: number;
  readonly backMsMax?: number;
}

/**
 * Makes the fault happen, and makes sure that it did: a scenario whose fault missed proves
 * nothing. Returns how long I/O took to flow again once each fault was over, ms.
 *
 * A fault on the "relay" is one of every transport; what only datagrams know, or only TCP, is
 * on a relay of theirs.
 */
export type Scenario = Common &
  (
    | { readonly link: 'relay'; run(rig: RelayRig): Promise<readonly number[]> }
    | { readonly link: 'udp-relay'; run(rig: RelayRig<UdpRelay>): Promise<readonly number[]> }
    | { readonly link: 'tcp-relay'; run(rig: RelayRig<TcpRelay>): Promise<readonly number[]> }
    | { readonly link: 'namespaces'; run(rig: NamespaceRig): Promise<readonly number[]> }
  );

/** The schemes whose transports know a fault on this link. */
const SCHEMES_OF: Readonly<Record<Scenario['link'], readonly Scheme[]>> = {
  relay: ['quic', 'https'],
  'udp-relay': ['quic'],
  'tcp-relay': ['https'],
  namespaces: ['quic', 'https'],
};

export interface ScenarioResult extends LoadReport, SessionCounters {
  /** The longest time from a fault's end until all that waited then had ended. */
  readonly longestBackMs: number | undefined;
  readonly exportPeakBytes: number;
  readonly clientPeakBytes: number;
  /** What is held at the end and was not at the start, in words. */
  readonly leaks: readonly string[];
}

/** What keeps both processes in bounds, whatever happens. */
export const PEAK_BYTES_MAX = 400e6;

/** The load reaches its stride, and buffers theirs, before anything is measured. */
const SETTLING_COMMANDS = 150;

/** A connection that nobody closed is given up by the engine after 30 s. */
const LEFTOVERS_PATIENCE_MS = 45_000;

/** Why a scenario can't be run here; false where it can. */
export function skipReason({ link }: Scenario): string | false {
  return link === 'namespaces' ? skipWithoutNamespaces() : false;
}

/** Whether the scheme's transport knows the fault. */
export function concerns({ link }: Scenario, scheme: Scheme): boolean {
  return SCHEMES_OF[link].includes(scheme);
}

/** Over a transport that knows the fault. */
export async function runScenario(
  t: Cleanup,
  scenario: Scenario,
  scheme: Scheme,
): Promise<ScenarioResult> {
  switch (scenario.link) {
    case 'relay': {
      const start = scheme === 'quic' ? startUdpRig : startTcpRig;
      const rig: RelayRig = await start(t, scenario);
      return measure(rig, () => scenario.run(rig));
    }
    case 'udp-relay': {
      const rig = await startUdpRig(t, scenario);
      return measure(rig, () => scenario.run(rig));
    }
    case 'tcp-relay': {
      const rig = await startTcpRig(t, scenario);
      return measure(rig, () => scenario.run(rig));
    }
    case 'namespaces': {
      const rig = await startNamespaceRig(t, scheme, scenario);
      return measure(rig, () => scenario.run(rig));
    }
  }
}

async function measure(rig: Rig, run: () => Promise<readonly number[]>): Promise<ScenarioResult> {
  const { load, client, exporting } = rig;
  load.start();
  await load.progress(SETTLING_COMMANDS);
  load.measureAnew();
  const before = holdings(rig);
  const backMs = await run();
  await load.progress(SETTLING_COMMANDS);
  const leaks = await leftovers(rig, before);
  const report = await load.stop();
  const clientPeakBytes = client.peakBytes;
  const exportPeakBytes = exporting.peakBytes;
  const counters = await client.stop();
  await exporting.stop();
  return {
    ...report,
    ...counters,
    longestBackMs: backMs.length === 0 ? undefined : Math.max(...backMs),
    clientPeakBytes,
    exportPeakBytes,
    leaks,
  };
}

// ---- Leaks ---------------------------------------------------------------------------

interface Holdings {
  readonly client: Held;
  readonly exporting: Held;
  readonly connections: number;
}

function holdings(rig: Rig): Holdings {
  return {
    client: heldBy(rig.client),
    exporting: heldBy(rig.exporting),
    connections: rig.connectionsAlive(),
  };
}

/** What is still held more of than before, once there was time to let go. */
async function leftovers(rig: Rig, before: Holdings): Promise<string[]> {
  let more: string[] = [];
  const clean = (): boolean => {
    more = compare(before, holdings(rig));
    return more.length === 0;
  };
  await eventually(clean, LEFTOVERS_PATIENCE_MS, 'what faults left open').catch(() => {});
  return more;
}

function compare(before: Holdings, now: Holdings): string[] {
  const pairs: [string, number, number][] = [
    ['descriptors of the client', before.client.descriptors, now.client.descriptors],
    ['sockets of the client', before.client.sockets, now.client.sockets],
    ['descriptors of the export', before.exporting.descriptors, now.exporting.descriptors],
    ['sockets of the export', before.exporting.sockets, now.exporting.sockets],
    ['connections', before.connections, now.connections],
  ];
  return pairs
    .filter(([, then, since]) => since > then)
    .map(([what, then, since]) => `${what}: ${then} before, ${since} after`);
}

// ---- Promises ------------------------------------------------------------------------

/** What must hold of every scenario, timing aside; a line for each thing that does not. */
export function failures(result: ScenarioResult): string[] {
  const lines: string[] = [...result.problems, ...result.leaks];
  if (result.ioErrors > 0) lines.unshift(`${result.ioErrors} I/O errors`);
  if (result.verifyErrors > 0) lines.unshift(`${result.verifyErrors} verify errors`);
  for (const [process, bytes] of [
    ['the export', result.exportPeakBytes],
    ['the client', result.clientPeakBytes],
  ] as const) {
    if (bytes > PEAK_BYTES_MAX) lines.push(`${process} came to hold ${Math.round(bytes / 1e6)} MB`);
  }
  return lines;
}

/** What is promised of a scenario's times, and was not kept. */
export function delays({ promise }: Scenario, result: ScenarioResult): string[] {
  const lines: string[] = [];
  const { stallMsMax = Infinity, backMsMax = Infinity } = promise ?? {};
  if (result.longestStallMs > stallMsMax) {
    lines.push(`a stall of ${Math.round(result.longestStallMs)} ms, over ${stallMsMax} ms`);
  }
  if (result.longestBackMs !== undefined && result.longestBackMs > backMsMax) {
    lines.push(`I/O took ${Math.round(result.longestBackMs)} ms to return, over ${backMsMax} ms`);
  }
  return lines;
}
