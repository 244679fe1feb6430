/** Certificates on both sides, as the real commands make them, show them and refuse them. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { generateCertificates } from '../../src/trust/generate.js';
import {
  messageLines,
  type Outcome,
  runCommand,
  startExport,
  temporaryFolder,
} from '../cli/command.js';
import { suiteCleanup } from '../support/cleanup.js';
import { connect, nbdsh, readyUri } from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

const CLIENT_NAME = 'dst-quic client';

const cleanup = suiteCleanup();

/** With the export's certificates in `certs`, and those of somebody else in `strange`. */
let folder: string;
let exporting: Awaited<ReturnType<typeof startExport>>;

before(async () => {
  folder = temporaryFolder(cleanup);
  assert.equal((await runCommand(cleanup, ['cert'], { cwd: folder })).code, 0);
  await generateCertificates({ directory: join(folder, 'strange'), hosts: [], days: 1 });
  const rules = ['--allow-name', `${CLIENT_NAME}=rw`];
  exporting = await exportOf('a=memory:1M', ...rules);
});

function exportOf(...args: string[]) {
  return startExport(cleanup, folder, ['--client-ca', 'certs/ca.pem', ...args]);
}

function showing(dir: string): string[] {
  return ['--client-cert', `${dir}/client.pem`, '--client-key', `${dir}/client-key.pem`];
}

function info(address = '', ...args: string[]): Promise<Outcome> {
  const words = ['info', address, '--cert', 'certs/ca.pem', ...args];
  return runCommand(cleanup, words, { cwd: folder });
}

function assertRefused(outcome: Outcome, code: string, says: RegExp): void {
  assert.equal(outcome.code, 1, outcome.stdout);
  const [line = '', ...more] = messageLines(outcome);
  assert.ok(line.endsWith(`(${code})`), line);
  assert.match(line, says);
  assert.deepEqual(more, []);
}

test('a client with a certificate of the CA is let in, and the log says who it is', {
  skip: skipWithout('nbdsh'),
}, async (t) => {
  const socket = join(folder, 'a.sock');
  const connecting = connect(t, folder, exporting.addresses[0] ?? '', socket, showing('certs'));
  const uri = await readyUri(connecting);
  await nbdsh(t, uri, 'h.pwrite(b"x" * 512, 0)', 'assert h.pread(512, 0) == b"x" * 512');
  await exporting.logged('client attached');
  await exporting.logged(`"subject":"CN=${CLIENT_NAME}"`);
  assert.equal((await connecting.stop()).code, 0);
});

test('list shows it too', async () => {
  const [address = ''] = exporting.addresses;
  const where = new URL(address).host;
  const words = ['list', `quic://${where}`, '--cert', 'certs/ca.pem', ...showing('certs')];
  assert.equal((await runCommand(cleanup, words, { cwd: folder })).code, 0);
});

test('a client without one is told to give one', async () => {
  const outcome = await info(exporting.addresses[0]);
  assertRefused(outcome, 'DST_E_CERT_CLIENT', /--client-cert.*--client-key/);
  await exporting.logged('refused in its handshake: client certificate required');
});

test('one of another CA is refused', async () => {
  const outcome = await info(exporting.addresses[0], ...showing('strange'));
  assertRefused(outcome, 'DST_E_CERT_CLIENT', /refused this client's certificate/);
});

test('a name without a rule is refused, and waiting is of no use', async () => {
  const picky = await exportOf('b=memory:1M', '--allow-name', 'somebody else');
  const [address = ''] = picky.addresses;
  const words = ['connect', address, '--cert', 'certs/ca.pem', '--wait', ...showing('certs')];
  const outcome = await runCommand(cleanup, words, { cwd: folder });
  assertRefused(outcome, 'DST_E_NAME_DENIED', /dst-quic client.*--allow-name/);
  await picky.logged('DST_E_NAME_DENIED');
});

test('there is no way round it by WebTransport', async () => {
  await exporting.logged('not listening for WebTransport');
  const { stderr } = await exporting.stop();
  assert.doesNotMatch(stderr, /listening on TCP/);
});
