import { randomBytes } from 'node:crypto';
import { CHECKSUM_NAMES } from '../../wasm/checksums.js';
import { systemClock } from '../clock.js';
import { CONNECT_TIMEOUT_MS, PING_INTERVAL_MS } from '../limits.js';
import { type ExportDescription, SESSION_BYTES, type Welcome } from '../protocol/messages.js';
import type { Connection } from '../transport/transport.js';
import { type Dial, Link } from './link.js';

/** What `info` says of one export. */
export interface ExportInfo {
  readonly export: ExportDescription;
  readonly transport: Connection['transport'];
  readonly checksum: string;
  readonly checksums: readonly string[];
  readonly agent: string;
  /** Median of several pings. */
  readonly roundTripMs: number;
}

const PINGS = 5;

/** The exports offered at an address. */
export async function listExports(dial: Dial): Promise<readonly ExportDescription[]> {
  const link = await ask(dial, 'list', '');
  link.close('done');
  return link.welcome.exports;
}

/** Everything that a client can know of one export without attaching to it. */
export async function exportInfo(dial: Dial, exportName: string): Promise<ExportInfo> {
  const link = await ask(dial, 'info', exportName);
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
    for (let i = 0; i < PINGS; i++) roundTripsMs.push(await link.ping());
  } finally {
    link.close('done');
  }
  roundTripsMs.sort((a, b) => a - b);
  const { welcome } = link;
  return {
    export: welcome.export as NonNullable<Welcome['export']>,
    transport: link.connection.transport,
    checksum: welcome.checksum,
    checksums: welcome.checksums,
    agent: welcome.agent,
    roundTripMs: roundTripsMs[Math.floor(PINGS / 2)] as number,
  };
}

async function ask(dial: Dial, intent: 'list' | 'info', exportName: string): Promise<Link> {
  const { signal } = new AbortController();
  const connection = await dial({ timeoutMs: CONNECT_TIMEOUT_MS, signal, attempt: 0 });
  return Link.greet(
    connection,
    {
      intent,
      exportName,
      session: randomBytes(SESSION_BYTES),
      epoch: 1,
      checksums: CHECKSUM_NAMES,
      readOnly: false,
      resuming: false,
      takeover: false,
    },
    { clock: systemClock, pingIntervalMs: PING_INTERVAL_MS, timeoutMs: CONNECT_TIMEOUT_MS },
  );
}
