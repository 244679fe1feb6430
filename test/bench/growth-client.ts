/**
 * The client's side of `make bench-growth`, in a process of its own, so that what it holds is
 * what the job made it hold. Does the one job that its argument describes, and prints what it
 * measured as a line of JSON each.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { payloadOf } from '../../src/block/payload.js';
import { RemoteDevice } from '../../src/client/remote-device.js';
import { silentLog } from '../../src/log.js';
import { dialQuic } from '../../src/transport/quic/dial.js';
import { loadServerTrust } from '../../src/trust/server-trust.js';
import type { ClientJob, LoadResult, SessionsResult, TransactionsSample } from './growth-job.js';
import { type Usage, usageOf } from './growth-usage.js';

/** Offsets that writes go to: the export's memory is filled so far before anything is measured. */
const SPAN_BYTES = 64 * 1024 * 1024;
/** Connections that are made at once: each handshake takes the export some milliseconds. */
const CONNECTING_AT_ONCE = 16;
const IDLE_MS = 5_000;

const job = JSON.parse(process.argv[2] ?? '') as ClientJob;
const trust = loadServerTrust(job.caCertificate);
if (job.kind === 'sessions') await measureSessions(job);
else await measureTransactions(job);
// A thousand sessions that leave one by one would only take time.
process.exit(0);

async function measureSessions(wanted: Extract<ClientJob, { kind: 'sessions' }>): Promise<void> {
  const first = await connect();
  const before = usages();
  const startedMs = performance.now();
  const others = await connectMany(wanted.sessions - 1);
  const connectMs = performance.now() - startedMs;
  const devices = [first, ...others];
  const connected = usages();
  await sleep(IDLE_MS);
  const idle = usages();
  await fill(first);
  const one = await load([first], wanted.depth, wanted.loadMs);
  const depthEach = Math.max(1, Math.floor(wanted.depth / devices.length));
  const all = await load(devices, depthEach, wanted.loadMs);
  print<SessionsResult>({
    sessions: devices.length,
    connectMs: connectMs / Math.max(1, devices.length - 1),
    before,
    connected,
    idleCpuShare: {
      client: (idle.client.cpuSeconds - connected.client.cpuSeconds) / (IDLE_MS / 1000),
      exporting: (idle.exporting.cpuSeconds - connected.exporting.cpuSeconds) / (IDLE_MS / 1000),
    },
    one,
    all,
    after: usages(),
    reconnects: devices.reduce((sum, { session }) => sum + session.reconnects, 0),
  });
}

async function measureTransactions(
  wanted: Extract<ClientJob, { kind: 'transactions' }>,
): Promise<void> {
  const device = await connect();
  await fill(device);
  const each = Math.round(wanted.transactions / wanted.samples);
  // Before the first sample all that is warmed up once is warm.
  await run(device, wanted.depth, countdown(each / 2));
  for (let sample = 1; sample <= wanted.samples; sample++) {
    const result = await measured(() => run(device, wanted.depth, countdown(each)));
    const { session } = device;
    const { heapUsed } = process.memoryUsage();
    print<TransactionsSample>({
      transactions: sample * each,
      ...result,
      usage: usages(),
      clientHeapMib: heapUsed / 2 ** 20,
      unflushedBytes: session.unflushedBytes,
      resent: session.counters.resent,
    });
  }
}

// ---- Work ----------------------------------------------------------------------------

function connect(): Promise<RemoteDevice> {
  return RemoteDevice.connect({
    dial: (request) => dialQuic({ host: job.host, port: job.port, trust, ...request }),
    exportName: job.exportName,
    checksums: ['blake3'],
    readOnly: false,
    log: silentLog,
  });
}

async function connectMany(count: number): Promise<RemoteDevice[]> {
  const devices: RemoteDevice[] = [];
  let left = count;
  const connectNext = async () => {
    while (left-- > 0) devices.push(await connect());
  };
  await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, connectNext));
  return devices;
}

async function fill(device: RemoteDevice): Promise<void> {
  const payload = payloadOf([Buffer.alloc(1024 * 1024, 1)]);
  for (let offset = 0; offset < SPAN_BYTES; offset += payload.lengthBytes) {
    await device.write(offset, payload, {});
  }
  await device.flush();
}

/** Small writes and reads in turns until `goOn` says no; returns how many there were. */
async function run(device: RemoteDevice, depth: number, goOn: () => boolean): Promise<number> {
  const payload = payloadOf([Buffer.alloc(job.blockBytes, 2)]);
  let done = 0;
  const worker = async (_: unknown, at: number) => {
    // A place of its own each, as changes that overlap would wait for each other.
    for (let turn = at; goOn(); turn += depth) {
      const offset = (turn * job.blockBytes) % SPAN_BYTES;
      if (turn % 2 === 0) await device.write(offset, payload, {});
      else (await device.read(offset, job.blockBytes)).release();
      done++;
    }
  };
  await Promise.all(Array.from({ length: depth }, worker));
  return done;
}

function load(
  devices: readonly RemoteDevice[],
  depth: number,
  loadMs: number,
): Promise<LoadResult> {
  const endMs = performance.now() + loadMs;
  const goOn = () => performance.now() < endMs;
  return measured(async () => {
    const done = await Promise.all(devices.map((device) => run(device, depth, goOn)));
    return done.reduce((sum, count) => sum + count, 0);
  });
}

function countdown(count: number): () => boolean {
  let left = count;
  return () => left-- > 0;
}

// ---- Measuring -----------------------------------------------------------------------

async function measured(work: () => Promise<number>): Promise<LoadResult> {
  const before = usages();
  const startedMs = performance.now();
  const done = await work();
  const seconds = (performance.now() - startedMs) / 1000;
  const after = usages();
  const cpuUs = (side: 'client' | 'exporting') =>
    ((after[side].cpuSeconds - before[side].cpuSeconds) * 1e6) / done;
  return {
    perSecond: done / seconds,
    clientCpuUs: cpuUs('client'),
    exportCpuUs: cpuUs('exporting'),
  };
}

function usages(): { client: Usage; exporting: Usage } {
  return { client: usageOf(process.pid), exporting: usageOf(job.exportPid) };
}

function print<T>(result: T): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
