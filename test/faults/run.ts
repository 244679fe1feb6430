/**
 * `make faults`: every fault at full length, and the table of what each cost, in
 * docs/RELIABILITY.md.
 *
 *   ONLY=name          one scenario, printed and not written down
 *   SCHEME=quic|https  one transport, likewise
 *   LANES=n            all of it over so many connections at once, likewise
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Scheme } from '../../src/client/address.js';
import { Cleanups } from '../support/cleanup.js';
import { SCHEMES } from '../support/end-to-end.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import {
  concerns,
  delays,
  failures,
  runScenario,
  type Scenario,
  type ScenarioResult,
  skipReason,
} from './scenario.js';
import {
  blackout,
  corrupted,
  forgotten,
  frozen,
  jittery,
  killed,
  lossy,
  narrowed,
  nothing,
  overLanes,
  rebinding,
  rebooted,
  reordered,
  roaming,
} from './scenarios.js';
import { type Row, table, withTable } from './table.js';

const SCENARIOS: readonly Scenario[] = [
  nothing(15),
  killed(20),
  blackout(5),
  blackout(20),
  blackout(60),
  rebinding(3, 20),
  forgotten(3, 20),
  roaming(5),
  lossy(30),
  reordered(30),
  jittery(30),
  corrupted(30),
  narrowed(30),
  frozen(15),
  rebooted(4),
];

const PAGE = join(REPOSITORY_ROOT, 'docs', 'RELIABILITY.md');

const TITLES: Readonly<Record<Scheme, string>> = {
  quic: 'QUIC',
  https: 'WebTransport over HTTP/2',
};

const { ONLY: only, SCHEME: onlyScheme, LANES: lanes } = process.env;
const scenarios = SCENARIOS.filter(({ name }) => only === undefined || name === only).map((each) =>
  lanes === undefined ? each : overLanes(each, Number(lanes)),
);
const schemes = SCHEMES.filter((scheme) => onlyScheme === undefined || scheme === onlyScheme);
refuseUnknown(
  only,
  scenarios,
  SCENARIOS.map(({ name }) => name),
);
refuseUnknown(onlyScheme, schemes, SCHEMES);

let cleanups = new Cleanups();
process.once('SIGINT', () => {
  void cleanups.run().finally(() => process.exit(130));
});

const parts = [machine()];
for (const scheme of schemes) {
  const rows: Row[] = [];
  for (const scenario of scenarios.filter((each) => concerns(each, scheme))) {
    rows.push({ scenario, result: await run(scenario, scheme) });
  }
  parts.push(`### ${TITLES[scheme]}`, table(rows));
}
const made = parts.join('\n\n');
console.log(`\n${made}`);
if (only === undefined && onlyScheme === undefined && lanes === undefined) {
  writeFileSync(PAGE, withTable(readFileSync(PAGE, 'utf8'), made));
}

function refuseUnknown(
  name: string | undefined,
  found: readonly unknown[],
  known: readonly string[],
): void {
  if (found.length > 0) return;
  console.error(`no "${name}" among: ${known.join(', ')}`);
  process.exit(2);
}

async function run(scenario: Scenario, scheme: Scheme): Promise<ScenarioResult | string> {
  const skip = skipReason(scenario);
  if (skip !== false) return skip;
  console.log(`${scenario.name} (${scheme}): ${scenario.fault}`);
  cleanups = new Cleanups();
  try {
    const result = await runScenario(cleanups, scenario, scheme);
    for (const line of [...failures(result), ...delays(scenario, result)]) {
      console.error(`  FAILED: ${line}`);
      process.exitCode = 1;
    }
    return result;
  } finally {
    await cleanups.run();
  }
}

function machine(): string {
  const [cpu] = cpus();
  const today = new Date().toISOString().slice(0, 10);
  return `Made on ${today}, on ${cpus().length} CPUs (${cpu?.model.trim()}), Node ${process.version}.`;
}
