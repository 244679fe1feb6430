/** SIGTERM and SIGINT end both ends in order; SIGKILL leaves what the next one tidies up. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { folderWithCertificates, MAIN } from '../cli/command.js';
import {
  connect,
  KIB,
  MIB,
  makeSparse,
  nbdsh,
  readyUri,
  startPair,
  startTool,
  tool,
} from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';

const BLOCK_BYTES = 64 * KIB;
const STORE_BYTES = 64 * MIB;

/** Writes at depth 32 until the bridge ends, then prints the numbers of the acked blocks. */
const WRITER = `
import json
size, count = ${BLOCK_BYTES}, ${STORE_BYTES / BLOCK_BYTES}
h.connect_uri(uri)
acked = []
def writes(number):
    def done(error):
        if error.value == 0: acked.append(number)
        if len(acked) == 200: print('writing', flush=True)
        return 1
    block = nbd.Buffer.from_bytearray(bytearray(number.to_bytes(4, 'little') * (size // 4)))
    h.aio_pwrite(block, number * size, completion=done)
number = 0
try:
    while True:
        while h.aio_in_flight() >= 32: h.poll(-1)
        writes(number % count)
        number += 1
except nbd.Error:
    pass
print(json.dumps(sorted(set(acked))))
`;

for (const [signal, scheme] of [
  ['SIGTERM', 'quic'],
  ['SIGINT', 'quic'],
  ['SIGTERM', 'https'],
] as const) {
  test(`${signal} in the middle of writes (${scheme})`, {
    skip: skipWithout('nbdsh'),
  }, async (t) => {
    const pair = await startPair(t, { scheme, sizeBytes: STORE_BYTES });
    const writer = startTool(t, 'nbdsh', ['-c', `uri = ${JSON.stringify(pair.uri)}${WRITER}`]);
    assert.equal(await writer.line(0), 'writing');
    const connected = await pair.connecting.stop(signal);
    assert.equal(connected.code, 0, connected.stderr);
    assert.equal(existsSync(pair.socketPath), false);
    const acked: number[] = JSON.parse(await writer.line(1));
    const exported = await pair.exporting.stop(signal);
    assert.equal(exported.code, 0, exported.stderr);

    assert.ok(acked.length >= 200);
    const stored = readFileSync(pair.storePath);
    for (const number of acked) {
      const expected = Buffer.alloc(BLOCK_BYTES);
      for (let at = 0; at < BLOCK_BYTES; at += 4) expected.writeUInt32LE(number, at);
      const found = stored.subarray(number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES);
      assert.ok(found.equals(expected), `block ${number} was acked`);
    }
  });
}

/** Containers may forbid it. */
function skipWithoutTracing(): string | false {
  const traced = spawnSync('strace', ['-qq', '-e', 'trace=none', 'true']);
  return traced.status !== 0 && 'strace cannot trace here';
}

test('what was written is flushed when the client ends, and when the export ends', {
  skip: skipWithout('nbdsh') || skipWithoutTracing(),
}, async (t) => {
  const folder = await folderWithCertificates(t);
  const trace = join(folder, 'trace');
  const store = join(folder, 'store.img');
  makeSparse(store, MIB);
  const flushes = () => readFileSync(trace, 'utf8').match(/fdatasync\(/g)?.length ?? 0;
  const words = ['-D', '-f', '-e', 'trace=fdatasync', '-o', trace, process.execPath, MAIN];
  // With -D the process that we know is the export, and strace is its child.
  const exporting = startTool(t, 'strace', [
    ...words,
    'export',
    store,
    '--listen',
    '127.0.0.1:0',
    '--cert',
    join(folder, 'certs/server.pem'),
    '--key',
    join(folder, 'certs/server-key.pem'),
  ]);
  const address = await readyUri(exporting);
  for (const [signal, flushed] of [
    ['SIGTERM', 1],
    ['SIGKILL', 0],
  ] as const) {
    const connecting = connect(t, folder, address, join(folder, 'bridge.sock'));
    const uri = await readyUri(connecting);
    const before = flushes();
    await nbdsh(t, uri, 'h.pwrite(b"x" * 4096, 0)');
    assert.equal(flushes(), before);
    await connecting.stop(signal);
    assert.equal(flushes(), before + flushed);
  }
  const before = flushes();
  assert.equal((await exporting.stop()).code, 0);
  assert.equal(flushes(), before + 1);
});

test('the socket of a killed connect is replaced, and that of a living one is not', {
  skip: skipWithout('nbdinfo'),
}, async (t) => {
  const pair = await startPair(t);
  await pair.connecting.stop('SIGKILL');
  assert.ok(existsSync(pair.socketPath));
  // The export may not have noticed yet that its writer is gone.
  const second = connect(t, pair.folder, pair.address, pair.socketPath, ['--takeover']);
  const uri = await readyUri(second);
  assert.equal(uri, pair.uri);

  const third = await connect(t, pair.folder, pair.address, pair.socketPath).outcome;
  assert.equal(third.code, 1);
  assert.match(third.stderr, /^dst-quic: .*\(DST_E_SOCKET_IN_USE\)$/m);
  assert.equal(third.stdout, '');

  assert.equal(await tool(t, 'nbdinfo', '--size', uri), `${64 * MIB}\n`);
  assert.equal((await second.stop()).code, 0);
  assert.equal(existsSync(pair.socketPath), false);
});
