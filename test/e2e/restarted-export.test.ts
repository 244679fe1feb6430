/** An export that goes and comes back in the middle of writes costs time, and nothing else. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allocatedBytes, exportAgain, MIB, startPair } from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';
import { until } from '../support/wait.js';
import { FIO_STORE_BYTES, runVerifyingFio } from './fio.js';

// Side by side, since most of the time goes by in waiting for the client to notice.
describe('fio sees no error when the export is restarted', {
  skip: skipWithout('fio'),
  concurrency: 2,
}, () => {
  for (const [signal, code, scheme] of [
    ['SIGKILL', null, 'quic'],
    ['SIGTERM', 0, 'quic'],
    ['SIGKILL', null, 'https'],
    ['SIGTERM', 0, 'https'],
  ] as const) {
    // fio writes | the export ends, fio waits | a new export, fio writes on | fio reads it all
    test(`after ${signal} (${scheme})`, async (t) => {
      const pair = await startPair(t, { scheme, sizeBytes: FIO_STORE_BYTES });
      const fio = runVerifyingFio(t, pair, 'randwrite');
      await until(() => allocatedBytes(pair.storePath) > 2 * MIB, 'fio writes');
      const ended = await pair.exporting.stop(signal);
      assert.equal(ended.code, code, ended.stderr);
      const again = await exportAgain(t, pair);
      const result = await fio;
      assert.equal(result.code, 0, result.errors);
      assert.equal(result.writtenBytes, FIO_STORE_BYTES);
      assert.equal(result.readBytes, FIO_STORE_BYTES);
      const connected = await pair.connecting.stop();
      assert.equal(connected.code, 0, connected.stderr);
      assert.match(connected.stderr, /connected to the export again/);
      assert.equal((await again.stop()).code, 0);
    });
  }
});
