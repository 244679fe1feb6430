/** `make profile CASE=floor`: what the parts of a 4 KiB command must cost on this machine. */
import { cpus } from 'node:os';
import type { Cleanup } from '../support/cleanup.js';
import { computingCosts } from './floor/computing.js';
import { systemCosts } from './floor/system.js';
import type { Cost } from './floor/timing.js';
import { wakingCosts } from './floor/waking.js';

export async function measureFloor(t: Cleanup): Promise<void> {
  const costs = [...systemCosts(t), ...(await wakingCosts(t)), ...(await computingCosts())];
  console.log(`${cpus().length} x ${cpus()[0]?.model.trim()}, Node ${process.version}\n`);
  console.log(table(costs));
}

function table(costs: readonly Cost[]): string {
  const width = Math.max(...costs.map(({ what }) => what.length));
  return [
    `| ${'step'.padEnd(width)} |    us |`,
    `| ${'-'.repeat(width)} | ----: |`,
    ...costs.map(({ what, bestUs }) => {
      return `| ${what.padEnd(width)} | ${bestUs.toFixed(2).padStart(5)} |`;
    }),
  ].join('\n');
}
