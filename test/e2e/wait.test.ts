/** `connect --wait`: either end may be started first. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  connect,
  exportAgain,
  type Pair,
  type PairOptions,
  readyUri,
  SCHEMES,
  startPair,
} from '../support/end-to-end.js';

function waiting(t: TestContext, pair: Pair, ...args: string[]) {
  const socketPath = join(pair.folder, 'waiting.sock');
  return { socketPath, ...connect(t, pair.folder, pair.address, socketPath, ['--wait', ...args]) };
}

function waitingLines(stderr: string): string[] {
  return stderr.split('\n').filter((line) => line.includes('"waiting: '));
}

/** A pair whose two ends have ended: its address is one where nothing listens. */
async function endedPair(t: TestContext, options: PairOptions = {}): Promise<Pair> {
  const pair = await startPair(t, options);
  await pair.stop();
  return pair;
}

for (const scheme of SCHEMES) {
  test(`an export that is started later is connected to, with one line of waiting (${scheme})`, async (t) => {
    const pair = await endedPair(t, { scheme });
    const connecting = waiting(t, pair);
    await connecting.logged('DST_E_REFUSED');
    const exporting = await exportAgain(t, pair);
    await readyUri(connecting);
    const { code, stderr } = await connecting.stop();
    assert.equal(code, 0, stderr);
    assert.equal(waitingLines(stderr).length, 1, stderr);
    assert.equal((await exporting.stop()).code, 0);
  });
}

test('the end of another writer is waited for', async (t) => {
  const pair = await startPair(t);
  const connecting = waiting(t, pair);
  await connecting.logged('DST_E_BUSY');
  assert.equal((await pair.connecting.stop()).code, 0);
  await readyUri(connecting);
  const { code, stderr } = await connecting.stop();
  assert.equal(code, 0, stderr);
  assert.equal(waitingLines(stderr).length, 1, stderr);
});

test('each reason to wait has a line', async (t) => {
  const pair = await startPair(t);
  const connecting = waiting(t, pair);
  await connecting.logged('DST_E_BUSY');
  assert.equal((await pair.exporting.stop('SIGKILL')).code, null);
  await pair.connecting.stop('SIGKILL');
  await connecting.logged('DST_E_REFUSED');
  await exportAgain(t, pair);
  await readyUri(connecting);
  assert.equal((await connecting.stop()).code, 0);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} ends the waiting at once, and nothing is left`, async (t) => {
    const pair = await endedPair(t);
    const connecting = waiting(t, pair);
    await connecting.logged('"waiting: ');
    const { code, stdout, stderr } = await connecting.stop(signal);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /ending; the export was not reached/);
    assert.equal(existsSync(connecting.socketPath), false);
  });
}

test('without --wait an export that is away is an error at once', async (t) => {
  const pair = await endedPair(t);
  const socketPath = join(pair.folder, 'waiting.sock');
  const { code, stderr } = await connect(t, pair.folder, pair.address, socketPath).outcome;
  assert.equal(code, 1);
  assert.match(stderr, /^dst-quic: .*\(DST_E_REFUSED\)$/m);
});
