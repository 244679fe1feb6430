/** `connect --max-outage`: commands wait through an outage for so long, and no longer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NBD_CMD_READ } from '../../src/nbd/constants.js';
import { messageLines } from '../cli/command.js';
import { RawClient, requestHeader } from '../nbd/support.js';
import { exportAgain, SCHEMES, startPair } from '../support/end-to-end.js';

const READ = requestHeader(NBD_CMD_READ, { lengthBytes: 512 });
const QUICK_TO_NOTICE = ['--ping-interval', '100ms'];

for (const scheme of SCHEMES) {
  test(`past the longest outage every command fails, and the client ends (${scheme})`, async (t) => {
    const connectArgs = ['--max-outage', '1s', ...QUICK_TO_NOTICE];
    const pair = await startPair(t, { scheme, connectArgs });
    const client = await RawClient.ready(t, pair.socketPath);
    await pair.exporting.stop('SIGKILL');
    client.send(READ, READ);
    assert.equal((await client.takeSimpleReply()).error, 5);
    assert.equal((await client.takeSimpleReply()).error, 5);
    await assert.rejects(RawClient.connect(t, pair.socketPath));
    client.socket.destroy();
    const outcome = await pair.connecting.outcome;
    assert.equal(outcome.code, 1);
    assert.match(messageLines(outcome).join('\n'), /^dst-quic: .* \(DST_E_OUTAGE\)$/);
  });
}

for (const scheme of SCHEMES) {
  test(`a shorter outage is only slow (${scheme})`, async (t) => {
    const pair = await startPair(t, {
      scheme,
      connectArgs: ['--max-outage', '1h', ...QUICK_TO_NOTICE],
    });
    const client = await RawClient.ready(t, pair.socketPath);
    await pair.exporting.stop('SIGKILL');
    client.send(READ);
    await pair.connecting.logged('I/O waits');
    const exporting = await exportAgain(t, pair);
    assert.equal((await client.takeSimpleReply()).error, 0);
    client.socket.destroy();
    assert.equal((await pair.connecting.stop()).code, 0);
    assert.equal((await exporting.stop()).code, 0);
  });
}
