/** What becomes of a client whose package goes away beneath it, as in an upgrade. */
import assert from 'node:assert/strict';
import { cpSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { EXIT } from '../../src/cli/exit.js';
import { REPOSITORY_ROOT } from '../support/paths.js';
import {
  folderWithCertificates,
  messageLines,
  type Running,
  startExport,
  startProgram,
} from './command.js';

const BUILT = fileURLToPath(new URL('../../', import.meta.url));
const WEBTRANSPORT = 'built/src/transport/webtransport';

/** A folder with certificates, an export, and a package of our own, of which parts can go. */
async function setUp(t: TestContext) {
  const folder = await folderWithCertificates(t);
  for (const part of ['src', 'wasm']) {
    cpSync(join(BUILT, part), join(folder, 'built', part), { recursive: true });
  }
  cpSync(join(REPOSITORY_ROOT, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(REPOSITORY_ROOT, 'node_modules'), join(folder, 'node_modules'));
  const exporting = await startExport(t, folder, ['disk=memory:1M']);
  const address = new URL(exporting.addresses[0] ?? '');
  const connect = (scheme: string): Running => {
    const where = `${scheme}${address.host}/disk`;
    const words = ['built/src/cli/main.cjs', 'connect', where, '--cert', 'certs/ca.pem'];
    return startProgram(t, process.execPath, [...words, '--socket', 'd.sock'], { cwd: folder });
  };
  return { folder, exporting, connect };
}

test('an outage is borne by what was loaded before it', async (t) => {
  const { folder, exporting, connect } = await setUp(t);
  const connecting = connect('');
  await connecting.line(0);
  rmSync(join(folder, 'node_modules'));
  rmSync(join(folder, WEBTRANSPORT), { recursive: true });
  await exporting.stop();
  await connecting.logged('neither over QUIC nor over WebTransport');
  connecting.child.kill('SIGTERM');
  await connecting.logged('SIGTERM');
  const outcome = await connecting.stop();
  assert.deepEqual(messageLines(outcome), []);
  assert.doesNotMatch(outcome.stderr, /cannot be loaded/);
});

test('a client without its parts for WebTransport says so before it is ready', async (t) => {
  const { folder, connect } = await setUp(t);
  rmSync(join(folder, WEBTRANSPORT), { recursive: true });
  const outcome = await connect('').outcome;
  assert.equal(outcome.code, EXIT.failure);
  assert.equal(outcome.stdout, '');
  assert.match(
    messageLines(outcome).join('\n'),
    /^dst-quic: what WebTransport needs cannot be loaded: .*; install dst-quic anew \(DST_E_INSTALLATION\)$/,
  );
  const connecting = connect('quic://');
  await connecting.line(0);
  assert.equal((await connecting.stop()).code, EXIT.ok);
});
