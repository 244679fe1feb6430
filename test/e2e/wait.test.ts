/** `connect --wait`: either end may be started first. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Scheme } from '../../src/client/address.js';
import { folderWithCertificates } from '../cli/command.js';
import {
  connect,
  type ExportPlace,
  exportAgain,
  MIB,
  makeSparse,
  readyUri,
  SCHEMES,
  startPair,
} from '../support/end-to-end.js';
import { closedPort } from '../transport/fixtures.js';

function waiting(t: TestContext, { folder, address }: ExportPlace) {
  const socketPath = join(folder, 'waiting.sock');
  return { socketPath, ...connect(t, folder, address, socketPath, ['--wait']) };
}

function waitingLines(stderr: string): string[] {
  return stderr.split('\n').filter((line) => line.includes('"waiting: '));
}

/** A place where nothing listens yet. */
async function placeForExport(t: TestContext, scheme: Scheme = 'quic'): Promise<ExportPlace> {
  const folder = await folderWithCertificates(t);
  const storePath = join(folder, 'store.img');
  makeSparse(storePath, MIB);
  return { folder, storePath, address: `${scheme}://127.0.0.1:${await closedPort()}/disk` };
}

for (const scheme of SCHEMES) {
  test(`an export that is started later is connected to, with one line of waiting (${scheme})`, async (t) => {
    const place = await placeForExport(t, scheme);
    const connecting = waiting(t, place);
    await connecting.logged('DST_E_REFUSED');
    const exporting = await exportAgain(t, place);
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
    const connecting = waiting(t, await placeForExport(t));
    await connecting.logged('"waiting: ');
    const { code, stdout, stderr } = await connecting.stop(signal);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /ending; the export was not reached/);
    assert.equal(existsSync(connecting.socketPath), false);
  });
}

test('without --wait an export that is away is an error at once', async (t) => {
  const { folder, address } = await placeForExport(t);
  const { code, stderr } = await connect(t, folder, address, join(folder, 'waiting.sock')).outcome;
  assert.equal(code, 1);
  assert.match(stderr, /^dst-quic: .*\(DST_E_REFUSED\)$/m);
});
