/**
 * `make profile CASE=engine`: what the QUIC engine carries by itself, beside all that the peer
 * over TLS does for as many commands, alternating. Where the engine alone is slower, no work
 * of ours could make us faster.
 */
import { cpus } from 'node:os';
import type { Cleanup } from '../support/cleanup.js';
import { KIB, MIB } from '../support/end-to-end.js';
import type { ProfileCase } from './cases.js';
import { EngineAlone, type Pace, type Streams } from './engine/alone.js';
import { startTlsPeer, type TlsPeer } from './engine/tls-peer.js';
import { fill, runLoad } from './fio.js';
import { processorTimeUs } from './pair.js';

/** What a write's header adds to its payload, as we encode it. */
const HEADER_BYTES = 44;
const SPAN_BYTES = 256 * MIB;
const ROUNDS = 3;
const RUN_MS = 1000;

const CELLS: readonly ProfileCase[] = [
  { name: '4 KiB, depth 1', pattern: 'randwrite', blockBytes: 4 * KIB, depth: 1 },
  { name: '4 KiB, depth 32', pattern: 'randwrite', blockBytes: 4 * KIB, depth: 32 },
  { name: '4 KiB, depth 128', pattern: 'randwrite', blockBytes: 4 * KIB, depth: 128 },
  { name: '128 KiB, depth 16', pattern: 'write', blockBytes: 128 * KIB, depth: 16 },
];

type Contender = (cell: ProfileCase) => Promise<Pace>;

export async function measureEngine(t: Cleanup): Promise<void> {
  const peer = await startTlsPeer(t, SPAN_BYTES);
  await fill(t, peer.uri, SPAN_BYTES);
  const contenders = startContenders(t, peer);
  console.log(`${cpus().length} x ${cpus()[0]?.model.trim()}, Node ${process.version}; medians of`);
  console.log(`${ROUNDS} runs: requests a second, and processor time of both ends a request, us\n`);
  console.log(`| writes | ${[...contenders.keys()].join(' | ')} |`);
  console.log(`| --- |${' ---: |'.repeat(contenders.size)}`);
  for (const cell of CELLS) console.log(await measureRow(cell, contenders));
}

function startContenders(t: Cleanup, peer: TlsPeer): ReadonlyMap<string, Contender> {
  const alone =
    (streams: Streams): Contender =>
    async ({ blockBytes, depth }) => {
      // One for each run: nobody pings, so a connection that waits its turn would end.
      const engine = await EngineAlone.start(t, blockBytes + HEADER_BYTES);
      const pace = await engine.run(depth, streams, RUN_MS);
      await engine.stop();
      return pace;
    };
  return new Map([
    ['engine alone, a stream each', alone('one each')],
    ['engine alone, a stream a turn', alone('one a turn')],
    ['TLS peer, all of it', (cell) => runPeer(t, peer, cell)],
  ]);
}

async function runPeer(t: Cleanup, peer: TlsPeer, cell: ProfileCase): Promise<Pace> {
  const used = () => peer.processes.reduce((sum, running) => sum + processorTimeUs(running), 0);
  const beforeUs = used();
  const seconds = RUN_MS / 1000;
  const { commandsPerSecond } = await runLoad(t, peer.uri, cell, seconds, SPAN_BYTES);
  return {
    requestsPerSecond: commandsPerSecond,
    processorUsPerRequest: (used() - beforeUs) / (commandsPerSecond * seconds),
  };
}

/** Contenders take turns, so that all meet the machine in the same mood. */
async function measureRow(
  cell: ProfileCase,
  contenders: ReadonlyMap<string, Contender>,
): Promise<string> {
  const paces = new Map<string, Pace[]>([...contenders.keys()].map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, run] of contenders) paces.get(name)?.push(await run(cell));
  }
  const columns = [...paces.values()].map((runs) => {
    const requests = median(runs.map(({ requestsPerSecond }) => requestsPerSecond));
    const processorUs = median(runs.map(({ processorUsPerRequest }) => processorUsPerRequest));
    return `${requests.toFixed(0)}, ${processorUs.toFixed(0)} us`;
  });
  return `| ${cell.name} | ${columns.join(' | ')} |`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
