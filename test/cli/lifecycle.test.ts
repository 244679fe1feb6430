/** How `export` and `connect` start, say that they are ready, and end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { EXIT } from '../../src/cli/exit.js';
import { suiteCleanup } from '../support/cleanup.js';
import { skipWithout } from '../support/tools.js';
import {
  folderWithCertificates,
  messageLines,
  type Running,
  runCommand,
  startCommand,
  startExport,
  startProgram,
} from './command.js';

const cleanup = suiteCleanup();
let folder: string;

before(async () => {
  folder = await folderWithCertificates(cleanup);
});

function startConnect(t: TestContext, address = '', ...more: string[]): Running {
  const words = ['connect', address, '--cert', 'certs/ca.pem', ...more];
  return startCommand(t, words, { cwd: folder });
}

describe('export', () => {
  test('says where it is ready, and how to connect', async (t) => {
    const exporting = await startExport(t, folder, ['a=memory:1M', 'b c=memory:2M']);
    const [first, second] = exporting.addresses;
    assert.match(first ?? '', /^quic:\/\/127\.0\.0\.1:\d+\/a$/);
    assert.match(second ?? '', /^quic:\/\/127\.0\.0\.1:\d+\/b%20c$/);
    assert.match(
      await exporting.line(2),
      /^connect with: node .*main\.cjs connect quic:\/\/127\.0\.0\.1:\d+\/a --cert certs\/server\.pem$/,
    );
    const { code, stderr } = await exporting.stop();
    assert.equal(code, EXIT.ok);
    assert.match(stderr, /listening on UDP 127\.0\.0\.1:\d+/);
    assert.match(stderr, /offering memory of 1048576 bytes as \\"a\\"/);
  });

  test('names a file by its name without the extension, and creates it sparse', async (t) => {
    const exporting = await startExport(t, folder, ['new.img', '--size', '64M']);
    assert.match(exporting.addresses[0] ?? '', /\/new$/);
    const { size, blocks } = statSync(join(folder, 'new.img'));
    assert.equal(size, 64 * 1024 * 1024);
    assert.ok(blocks < 128);
    assert.equal((await exporting.stop('SIGINT')).code, EXIT.ok);
  });

  test('listens in several places', async (t) => {
    const words = ['memory:1M', '--listen', '[::1]:0'];
    const exporting = await startExport(t, folder, words);
    const { stderr } = await exporting.stop();
    assert.match(stderr, /listening on UDP 127\.0\.0\.1:\d+/);
    assert.match(stderr, /listening on UDP \[::1\]:\d+/);
  });

  test('frees its file when it ends', async (t) => {
    writeFileSync(join(folder, 'again.img'), Buffer.alloc(4096));
    for (let round = 0; round < 2; round++) {
      const exporting = await startExport(t, folder, ['again.img']);
      assert.equal((await exporting.stop()).code, EXIT.ok);
    }
  });
});

describe('list and info', () => {
  let exporting: Awaited<ReturnType<typeof startExport>>;
  before(async () => {
    exporting = await startExport(cleanup, folder, [
      'a=memory:1M',
      'b=memory:1536K',
      '--read-only',
    ]);
  });

  test('list shows a table, or JSON', async (t) => {
    const where = new URL(exporting.addresses[0] ?? '').host;
    const words = ['list', where, '--cert', 'certs/ca.pem'];
    const table = await runCommand(t, words, { cwd: folder });
    assert.equal(table.code, EXIT.ok, table.stderr);
    assert.equal(
      table.stdout,
      'NAME  SIZE     ACCESS\na     1 MiB    read-only\nb     1.5 MiB  read-only\n',
    );
    const json = await runCommand(t, [...words, '--json'], { cwd: folder });
    const { exports } = JSON.parse(json.stdout);
    assert.deepEqual(
      exports.map(({ name, sizeBytes, readOnly }: Record<string, unknown>) => [
        name,
        sizeBytes,
        readOnly,
      ]),
      [
        ['a', 1_048_576, true],
        ['b', 1_572_864, true],
      ],
    );
  });

  test('info shows all about one export', async (t) => {
    const words = ['info', exporting.addresses[1] ?? '', '--cert', 'certs/server.pem'];
    const table = await runCommand(t, words, { cwd: folder });
    assert.match(table.stdout, /^size +1\.5 MiB \(1572864 bytes\)$/m);
    assert.match(table.stdout, /^access +read-only$/m);
    assert.match(table.stdout, /^round trip +\d+\.\d\d ms$/m);
    const json = JSON.parse((await runCommand(t, [...words, '--json'], { cwd: folder })).stdout);
    assert.equal(json.name, 'b');
    assert.equal(json.sizeBytes, 1_572_864);
    assert.equal(json.readOnly, true);
    assert.equal(json.transport, 'quic');
    assert.equal(json.checksum, 'blake3');
    assert.ok(json.capabilities.includes('flush'));
    assert.ok(json.roundTripMs > 0);
  });
});

describe('connect', { concurrency: 2 }, () => {
  let address: string;
  before(async () => {
    // Shared, since these tests run side by side, and one of them kills its client.
    const exporting = await startExport(cleanup, folder, ['demo=memory:1M', '--shared']);
    address = exporting.addresses[0] ?? '';
  });

  test('prints one line, serves on a socket of its owner alone, and removes it', async (t) => {
    const connecting = startConnect(t, address, '--socket', 'one.sock');
    const path = join(folder, 'one.sock');
    assert.equal(await connecting.line(0), `ready nbd+unix:///demo?socket=${path}`);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const { code, stdout, stderr } = await connecting.stop();
    assert.equal(code, EXIT.ok, stderr);
    assert.equal(stdout.split('\n').length, 2, 'one line, and its end');
    assert.equal(existsSync(path), false);
  });

  test('serves in the runtime folder unless told where', async (t) => {
    const words = ['connect', address, '--cert', 'certs/ca.pem'];
    const options = { cwd: folder, env: { DST_QUIC_RUNTIME_DIR: join(folder, 'own') } };
    const connecting = startCommand(t, words, options);
    assert.equal(await connecting.line(0), `ready nbd+unix:///demo?socket=${folder}/own/demo.sock`);
    assert.equal((await connecting.stop('SIGINT')).code, EXIT.ok);
  });

  test('is shown by status, and ended by disconnect', async (t) => {
    const connecting = startConnect(t, address, '--socket', 'ended.sock');
    const uri = (await connecting.line(0)).slice('ready '.length);
    const shown = await runCommand(t, ['status', '--json'], { cwd: folder });
    const { pid } = connecting.child;
    const [status] = JSON.parse(shown.stdout).filter((each: { uri: string }) => each.uri === uri);
    assert.deepEqual([status.pid, status.state, status.export], [pid, 'connected', 'demo']);
    const { code, stderr } = await runCommand(t, ['disconnect', uri], { cwd: folder });
    assert.equal(code, EXIT.ok, stderr);
    assert.equal((await connecting.outcome).code, EXIT.ok);
  });

  test('is not ended by disconnect while an NBD client is connected, unless by force', async (t) => {
    const connecting = startConnect(t, address, '--socket', 'used.sock');
    const uri = (await connecting.line(0)).slice('ready '.length);
    const client = createConnection(join(folder, 'used.sock')).on('error', () => {});
    t.after(() => client.destroy());
    await once(client, 'data');
    const refused = await runCommand(t, ['disconnect', uri], { cwd: folder });
    assert.equal(refused.code, EXIT.failure);
    assert.match(refused.stderr, /1 NBD client is connected.*\(DST_E_DEVICE_BUSY\)/);
    const forced = await runCommand(t, ['disconnect', uri, '--force'], { cwd: folder });
    assert.equal(forced.code, EXIT.ok, forced.stderr);
    assert.equal((await connecting.outcome).code, EXIT.ok);
  });

  test('is shown by status and ended by disconnect while it waits for its export', async (t) => {
    const away = '127.0.0.1:1/away';
    const connecting = startConnect(t, away, '--wait', '--socket', 'away.sock');
    await connecting.logged('waiting: ');
    const shown = await runCommand(t, ['status'], { cwd: folder });
    assert.match(shown.stdout, new RegExp(`^process ${connecting.child.pid} .* connecting `, 'm'));
    const { code, stderr } = await runCommand(t, ['disconnect', 'away'], { cwd: folder });
    assert.equal(code, EXIT.ok, stderr);
    const { code: ended, stdout } = await connecting.outcome;
    assert.deepEqual([ended, stdout], [EXIT.ok, '']);
  });

  test('serves on loopback TCP when asked to', async (t) => {
    const connecting = startConnect(t, address, '--listen', '127.0.0.1:0');
    assert.match(await connecting.line(0), /^ready nbd:\/\/127\.0\.0\.1:\d+\/demo$/);
    assert.equal((await connecting.stop()).code, EXIT.ok);
  });

  test('replaces the socket of a process that was killed', async (t) => {
    const killed = startConnect(t, address, '--socket', 'stale.sock');
    await killed.line(0);
    await killed.stop('SIGKILL');
    assert.ok(existsSync(join(folder, 'stale.sock')));
    const connecting = startConnect(t, address, '--socket', 'stale.sock');
    await connecting.line(0);
    assert.equal((await connecting.stop()).code, EXIT.ok);
  });

  test('ends although a client stays connected', async (t) => {
    const connecting = startConnect(t, address, '--socket', 'held.sock');
    await connecting.line(0);
    const client = createConnection(join(folder, 'held.sock')).on('error', () => {});
    t.after(() => client.destroy());
    await once(client, 'data');
    const { code, stderr } = await connecting.stop();
    assert.equal(code, EXIT.ok, stderr);
  });

  test('makes a read-only device of a writable export when asked to', {
    skip: skipWithout('nbdinfo'),
  }, async (t) => {
    const connecting = startConnect(t, address, '--socket', 'ro.sock', '--read-only');
    const uri = (await connecting.line(0)).slice('ready '.length);
    const info = await startProgram(t, 'nbdinfo', ['--is', 'read-only', uri]).outcome;
    assert.equal(info.code, 0);
    assert.equal((await connecting.stop()).code, EXIT.ok);
  });

  test('fails when the export is away and cannot confirm the flush', async (t) => {
    const exporting = await startExport(t, folder, ['gone=memory:1M']);
    const connecting = startConnect(t, exporting.addresses[0], '--socket', 'gone.sock');
    await connecting.line(0);
    await exporting.stop('SIGKILL');
    const outcome = await connecting.stop();
    assert.equal(outcome.code, EXIT.failure);
    assert.match(
      messageLines(outcome).join('\n'),
      /^dst-quic: .* may be lost.* \(DST_E_UNFLUSHED\)$/,
    );
    assert.equal(existsSync(join(folder, 'gone.sock')), false);
  });

  test('takes all that says how to bear an outage', async (t) => {
    const connecting = startConnect(
      t,
      address,
      ...['--socket', 'outage.sock', '--resend-timeout', '1.5s', '--max-resends', 'inf'],
      ...['--replay-buffer', '1M', '--ping-interval', '500ms', '--max-outage', '2h', '--wait'],
    );
    await connecting.line(0);
    const { code, stderr } = await connecting.stop();
    assert.equal(code, EXIT.ok, stderr);
    assert.doesNotMatch(stderr, /"level":"warn"/);
  });

  test('warns of what may be lost without a replay buffer', async (t) => {
    const words = ['--socket', 'noreplay.sock', '--replay-buffer', '0'];
    const connecting = startConnect(t, address, ...words);
    await connecting.line(0);
    const { stderr } = await connecting.stop();
    assert.match(stderr, /"level":"warn".*the replay buffer is off.* may be lost/);
    const reader = startConnect(t, address, ...words, '--read-only');
    await reader.line(0);
    assert.doesNotMatch((await reader.stop()).stderr, /the replay buffer is off/);
  });

  test('a second signal ends it at once', async (t) => {
    const exporting = await startExport(t, folder, ['gone=memory:1M']);
    const connecting = startConnect(t, exporting.addresses[0], '--socket', 'twice.sock');
    await connecting.line(0);
    await exporting.stop('SIGKILL');
    connecting.child.kill('SIGTERM');
    await connecting.logged('SIGTERM');
    const { code, stderr } = await connecting.stop('SIGINT');
    assert.equal(code, EXIT.failure);
    assert.doesNotMatch(stderr, /UNFLUSHED/);
  });
});
