/** Random I/O of many jobs, every block verified. */
import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { describe, test } from 'node:test';
import { SCHEMES, startPair } from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';
import { FIO_STORE_BYTES, runVerifyingFio } from './fio.js';

describe('fio, 4 jobs of depth 32, mixed sizes', { skip: skipWithout('fio') }, () => {
  for (const scheme of SCHEMES) {
    test(`reads and writes, and verifies what it wrote (${scheme})`, async (t) => {
      const pair = await startPair(t, { scheme, sizeBytes: FIO_STORE_BYTES });
      const result = await runVerifyingFio(t, pair, 'randrw');
      assert.equal(result.code, 0, result.errors);
      assert.ok(result.writtenBytes > FIO_STORE_BYTES / 4);
      await pair.stop();
    });
  }

  test('writes all, and finds it all; one damaged byte would be noticed', async (t) => {
    const pair = await startPair(t, { sizeBytes: FIO_STORE_BYTES });
    const written = await runVerifyingFio(t, pair, 'randwrite');
    assert.equal(written.code, 0, written.errors);
    assert.equal(written.writtenBytes, FIO_STORE_BYTES);
    assert.equal(written.readBytes, FIO_STORE_BYTES);
    // Behind the export's back: past this offset every block has more than its header.
    const fd = openSync(pair.storePath, 'r+');
    writeSync(fd, Buffer.from('damaged'), 0, 7, FIO_STORE_BYTES / 2 + 300);
    closeSync(fd);
    const again = await runVerifyingFio(t, pair, 'randwrite', '--verify_only');
    assert.notEqual(again.code, 0);
    assert.match(again.errors, /verify failed/);
    await pair.stop();
  });
});
