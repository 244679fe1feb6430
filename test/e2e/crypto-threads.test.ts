/** Data that is copied in and out while threads for checksums come and go, at both ends. */
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MIB, startPair, tool } from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

const COPIED_BYTES = 32 * MIB;

/** Between two signals: starting a thread takes about so long. */
const SIGNAL_INTERVAL_MS = 100;

test('no byte is lost while threads for checksums come and go', {
  skip: skipWithout('nbdcopy'),
}, async (t) => {
  const args = ['--crypto-threads', '1'];
  const pair = await startPair(t, {
    sizeBytes: COPIED_BYTES,
    exportArgs: args,
    connectArgs: args,
  });
  const bytes = randomFillSync(Buffer.alloc(COPIED_BYTES));
  const source = join(pair.folder, 'source.img');
  const back = join(pair.folder, 'back.img');
  writeFileSync(source, bytes);
  let signals = 0;
  const signalling = setInterval(() => {
    // One more, one more, one less, one less: from one to three and back.
    const signal = Math.floor(signals++ / 2) % 2 === 0 ? 'SIGUSR1' : 'SIGUSR2';
    for (const { child } of [pair.exporting, pair.connecting]) child.kill(signal);
  }, SIGNAL_INTERVAL_MS);
  t.after(() => clearInterval(signalling));
  await tool(t, 'nbdcopy', '--flush', source, pair.uri);
  await tool(t, 'nbdcopy', pair.uri, back);
  clearInterval(signalling);
  assert.ok(signals > 0);
  await pair.stop();
  assert.ok(readFileSync(pair.storePath).equals(bytes), 'on the disk');
  assert.ok(readFileSync(back).equals(bytes), 'as it was read');
});
