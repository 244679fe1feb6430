import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOSE_REASON_BYTES_MAX } from '../../src/limits.js';
import { shortReason } from '../../src/transport/close-reason.js';
import { soon } from '../support/wait.js';
import { TRANSPORTS } from './fixtures.js';

test('a reason that fits is left as it is, and a longer one ends at a whole character', () => {
  const fits = 'r'.repeat(CLOSE_REASON_BYTES_MAX);
  assert.equal(shortReason(fits), fits);
  assert.equal(shortReason(`${fits}r`), fits);
  // Of 3 and of 4 bytes, neither of which divides the most.
  assert.equal(shortReason('€'.repeat(100)), '€'.repeat(Math.floor(CLOSE_REASON_BYTES_MAX / 3)));
  assert.equal(shortReason(`r${'💾'.repeat(100)}`), `r${'💾'.repeat(49)}`);
});

/** Longer than any packet, also those of 16 KiB that the engine sends on loopback. */
const REASON = 'why '.repeat(20_000);

for (const { name, skip = false, start } of TRANSPORTS) {
  test(`${name}: a reason longer than a packet does not keep a connection open`, {
    skip,
  }, async (t) => {
    const { listener, dial } = await start(t);
    listener.onConnection((connection) => {
      connection.onStream((stream) => stream.onData(() => connection.close(REASON)));
    });
    const connection = await dial();
    const closed = new Promise<string>((resolve) =>
      connection.onClose(({ message }) => resolve(message)),
    );
    connection.openStream().write([Buffer.from('a word')]);
    assert.match(await soon(closed, 'the close'), /^why why/);
  });
}
