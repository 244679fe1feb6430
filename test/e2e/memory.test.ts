/** Copying much takes little memory, at both ends. */
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LARGE_PAGES_FLAG } from '../cli/command.js';
import { ALL_SCHEMES, MIB, peakResidentBytes, startPair, tool } from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

// Large pages are resident as a whole, and users have them.
process.env.NODE_OPTIONS = LARGE_PAGES_FLAG;

/** Half of it, where it is done once more, shows the same: the peaks come early. */
const COPIED_BYTES = (process.env.BRIEF === '1' ? 256 : 512) * MIB;
const RESIDENT_BYTES_MAX = 300 * 1e6;

for (const scheme of ALL_SCHEMES) {
  test(`${COPIED_BYTES / MIB} MiB in and out keep each process under 300 MB resident (${scheme})`, {
    skip: skipWithout('nbdcopy'),
  }, async (t) => {
    const pair = await startPair(t, { scheme, sizeBytes: COPIED_BYTES });
    const source = join(pair.folder, 'source.img');
    const chunk = randomFillSync(Buffer.alloc(32 * MIB));
    for (let i = 0; i < COPIED_BYTES / chunk.length; i++) appendFileSync(source, chunk);
    await tool(t, 'nbdcopy', '--flush', source, pair.uri);
    await tool(t, 'nbdcopy', pair.uri, 'null:');
    const peaksBytes = [pair.exporting, pair.connecting].map(peakResidentBytes);
    t.diagnostic(`peaks of export and connect: ${peaksBytes.join(', ')} bytes`);
    await pair.stop();
    for (const peakBytes of peaksBytes) assert.ok(peakBytes < RESIDENT_BYTES_MAX, `${peaksBytes}`);
  });
}
