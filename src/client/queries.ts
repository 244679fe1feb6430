import { randomBytes } from 'node:crypto';
import { CHECKSUM_NAMES, type ChecksumName, isKeyable } from '../../wasm/checksums.js';
import type { Secret } from '../access/secret.js';
import { type Clock, systemClock } from '../clock.js';
import { DstError } from '../errors.js';
import { CONNECT_TIMEOUT_MS, PING_INTERVAL_MS } from '../limits.js';
import { type ExportDescription, SESSION_BYTES, type Welcome } from '../protocol/messages.js';
import type { Connection } from '../transport/transport.js';
import { resolvesWithin } from '../within.js';
import type { Dial } from './dial.js';
import { firstGreeting } from './first-greeting.js';
import { Link } from './link.js';

/** What `info` says of one export. */
export interface ExportInfo {
  readonly export: ExportDescription;
  readonly transport: Connection['transport'];
  readonly checksum: string;
  /** Whether only who holds the shared secret can compute it. */
  readonly checksumKeyed: boolean;
  readonly checksums: readonly string[];
  readonly agent: string;
  /** Median of several pings. */
  readonly roundTripMs: number;
}

const PINGS = 5;

/** The exports offered at an address; `secret` is the one shared with it, if there is one. */
export async function listExports(
  dial: Dial,
  secret?: Secret,
): Promise<readonly ExportDescription[]> {
  const link = await ask(dial, 'list', '', secret, systemClock);
  link.close('done');
  return link.welcome.exports;
}

/**
 * Everything that a client can know of one export without attaching to it. Rejects with
 * DST_E_TIMEOUT where the export sends other things but no answers to the pings.
 */
export async function exportInfo(
  dial: Dial,
  exportName: string,
  secret?: Secret,
  clock = systemClock,
): Promise<ExportInfo> {
  const link = await ask(dial, 'info', exportName, secret, clock);
  // Started, so that an export that falls silent is noticed.
  link.start({
    onReply() {},
    onNotice() {},
    onSilence() {},
    onAlive() {},
    onHeard() {},
    onDown() {},
  });
  const roundTripsMs: number[] = [];
  try {
    for (let i = 0; i < PINGS; i++) roundTripsMs.push(await measure(link, clock));
  } finally {
    link.close('done');
  }
  roundTripsMs.sort((a, b) => a - b);
  const { welcome } = link;
  return {
    export: welcome.export as NonNullable<Welcome['export']>,
    transport: link.connection.transport,
    checksum: welcome.checksum,
    checksumKeyed: secret !== undefined && isKeyable(welcome.checksum as ChecksumName),
    checksums: welcome.checksums,
    agent: welcome.agent,
    roundTripMs: roundTripsMs[Math.floor(PINGS / 2)] as number,
  };
}

/** One round trip, ms. The link hears of an export that falls silent, not of one that babbles. */
async function measure(link: Link, clock: Clock): Promise<number> {
  const pong = link.ping();
  if (await resolvesWithin(pong, CONNECT_TIMEOUT_MS, clock)) return pong;
  // Rejects when the link is closed, and is nobody's by then.
  pong.catch(() => {});
  throw new DstError(
    'DST_E_TIMEOUT',
    `the export did not answer a ping within ${CONNECT_TIMEOUT_MS / 1000} s: see its log, and whether both ends have the same version`,
  );
}

function ask(
  dial: Dial,
  intent: 'list' | 'info',
  exportName: string,
  secret: Secret | undefined,
  clock: Clock,
): Promise<Link> {
  const request = {
    intent,
    exportName,
    session: randomBytes(SESSION_BYTES),
    epoch: 1,
    checksums: CHECKSUM_NAMES,
    readOnly: false,
    resuming: false,
    takeover: false,
    secret,
  };
  return firstGreeting(dial, (connection, timeoutMs) =>
    Link.greet(connection, request, { clock, pingIntervalMs: PING_INTERVAL_MS, timeoutMs }),
  );
}
