/**
 * `make bench-growth`: what becomes of memory and speed as sessions, sizes and transactions
 * grow. Prints tables for docs/PERFORMANCE.md; ends with 1 where something grew or slowed by
 * more than it may.
 *
 *   QUICK=1                              smaller, and in a minute
 *   ONLY=sessions|size|transactions      one of them
 *   SESSIONS=1,1000                      so many sessions, and no others
 */
import { cpus } from 'node:os';
import { growSessions } from './growth-sessions.js';
import { growSize } from './growth-size.js';
import { growTransactions } from './growth-transactions.js';

const PARTS = { sessions: growSessions, size: growSize, transactions: growTransactions };

const { ONLY: only = '', QUICK } = process.env;
const chosen = Object.entries(PARTS).filter(([name]) => only === '' || only === name);
if (chosen.length === 0) {
  console.error(`ONLY is one of ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}
console.log(`${cpus().length} x ${cpus()[0]?.model.trim()}, Node ${process.version}`);
const wrong: string[] = [];
for (const [, grow] of chosen) wrong.push(...(await grow(QUICK === '1')));
for (const what of wrong) console.error(`FAILED: ${what}`);
process.exitCode = wrong.length === 0 ? 0 : 1;
