/**
 * `make faults`: every fault at full length, and the table of what each cost, in
 * docs/RELIABILITY.md.
 *
 *   ONLY=name    one scenario, printed and not written down
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { REPOSITORY_ROOT } from '../support/paths.js';
import { Cleanups } from './cleanup.js';
import {
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
  frozen,
  killed,
  lossy,
  narrowed,
  nothing,
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
  roaming(5),
  lossy(30),
  reordered(30),
  corrupted(30),
  narrowed(30),
  frozen(15),
  rebooted(4),
];

const PAGE = join(REPOSITORY_ROOT, 'docs', 'RELIABILITY.md');

const { ONLY: only } = process.env;
const wanted = SCENARIOS.filter(({ name }) => only === undefined || name === only);
if (wanted.length === 0) {
  console.error(`no "${only}" among: ${SCENARIOS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

let cleanups = new Cleanups();
process.once('SIGINT', () => {
  void cleanups.run().finally(() => process.exit(130));
});

const rows: Row[] = [];
for (const scenario of wanted) rows.push({ scenario, result: await run(scenario) });
const made = [machine(), table(rows)].join('\n\n');
console.log(`\n${made}`);
if (only === undefined) writeFileSync(PAGE, withTable(readFileSync(PAGE, 'utf8'), made));

async function run(scenario: Scenario): Promise<ScenarioResult | string> {
  const skip = skipReason(scenario);
  if (skip !== false) return skip;
  console.log(`${scenario.name}: ${scenario.fault}`);
  cleanups = new Cleanups();
  try {
    const result = await runScenario(cleanups, scenario);
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
