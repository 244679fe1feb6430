/** Copying much takes little memory, at both ends. */
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { NBD_CLIENT_BYTES_IN_FLIGHT_MAX } from '../../src/limits.js';
import { NBD_CMD_WRITE } from '../../src/nbd/constants.js';
import { LARGE_PAGES_FLAG } from '../cli/command.js';
import { RawClient, requestHeader } from '../nbd/support.js';
import {
  ALL_SCHEMES,
  MIB,
  peakResidentBytes,
  residentBytes,
  startPair,
  tool,
} from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

// Large pages are resident as a whole, and users have them.
process.env.NODE_OPTIONS = LARGE_PAGES_FLAG;

/** Half of it, where it is done once more, shows the same: the peaks come early. */
const COPIED_BYTES = (process.env.BRIEF === '1' ? 256 : 512) * MIB;
const RESIDENT_BYTES_MAX = 300 * 1e6;

/** What a client may take beside what it held before, while its export is stopped. */
const PUSHED_BYTES_MAX = 100 * 1e6;

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

test('while the export is stopped its client takes a bounded part of a gigabyte', async (t) => {
  const pair = await startPair(t, { sizeBytes: 1024 * MIB });
  const client = await RawClient.ready(t, pair.socketPath);
  const beforeBytes = residentBytes(pair.connecting);
  pair.exporting.child.kill('SIGSTOP');
  const chunk = Buffer.alloc(MIB, 7);
  let sent = 0;
  const push = () => {
    while (sent < 1024 && client.socket.writableLength === 0) {
      const header = requestHeader(NBD_CMD_WRITE, { offset: sent++ * MIB, lengthBytes: MIB });
      client.send(header, chunk);
    }
  };
  client.socket.on('drain', push);
  push();
  // By then it has resent nothing yet, and has dialled once more beside the silent connection.
  await pair.connecting.logged('dialling a second connection');
  client.socket.removeListener('drain', push);
  assert.ok(sent * MIB < NBD_CLIENT_BYTES_IN_FLIGHT_MAX + 4 * MIB, `${sent} MiB were taken`);
  const grownBytes = residentBytes(pair.connecting) - beforeBytes;
  assert.ok(grownBytes < PUSHED_BYTES_MAX, `${grownBytes} bytes more`);
  pair.exporting.child.kill('SIGCONT');
  for (let count = 0; count < sent; count++) {
    assert.equal((await client.takeSimpleReply()).error, 0);
  }
  client.socket.destroy();
  await pair.stop(/./);
});
