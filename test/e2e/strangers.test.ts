/** Strangers at the port of a real export: what they do before WELCOME costs it little. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { HELLO_BODY_BYTES_MAX } from '../../src/limits.js';
import { KIND } from '../../src/protocol/kinds.js';
import { dialQuic } from '../../src/transport/quic/dial.js';
import type { Connection } from '../../src/transport/transport.js';
import { loadServerTrust } from '../../src/trust/server-trust.js';
import { folderWithCertificates, runCommand, startExport } from '../cli/command.js';
import { encodeLoose } from '../fuzz/mutate.js';
import { hello } from '../fuzz/scripts.js';
import { Random } from '../simulation/random.js';
import { KIB, MIB, makeSparse, peakResidentBytes, residentBytes } from '../support/end-to-end.js';

const STRANGERS = 200;
const AT_ONCE = 20;
const GARBAGE_BYTES = MIB;

/** Of memory that one may cost on average: mostly the engine's state of a connection. */
const STRANGER_BYTES_MAX = 512 * KIB;

const HELLO = encodeLoose(hello(new Random(1)));

const KINDS: readonly ((connection: Connection) => void)[] = [
  // Says nothing.
  () => {},
  // Says half of a HELLO.
  (connection) => connection.openStream().write([HELLO.subarray(0, HELLO.length / 2)]),
  // Says a HELLO byte by byte, and never its last.
  (connection) => {
    const stream = connection.openStream();
    for (const byte of HELLO.subarray(0, -1)) stream.write([Buffer.from([byte])]);
  },
  // Says one that is too long.
  (connection) => {
    const body = { agent: 'x'.repeat(HELLO_BODY_BYTES_MAX) };
    connection.openStream().write([encodeLoose({ header: [KIND.hello, 0, 0, 0], body })]);
  },
  // Sends on two streams as much as it can.
  (connection) => {
    connection.openStream().write([Buffer.from([6])]);
    connection.openStream().write([Buffer.alloc(GARBAGE_BYTES)]);
  },
];

async function exportForStrangers(t: TestContext) {
  const folder = await folderWithCertificates(t);
  makeSparse(join(folder, 'store.img'), MIB);
  const words = ['disk=store.img', '--no-webtransport'];
  const exporting = await startExport(t, folder, words);
  const [address = ''] = exporting.addresses;
  const trust = loadServerTrust(join(folder, 'certs', 'ca.pem'));
  const { hostname: host, port } = new URL(address);
  return { folder, exporting, address, dial: () => dialQuic({ host, port: Number(port), trust }) };
}

test(`${STRANGERS} strangers at once cost little, and nobody else notices`, async (t) => {
  const { folder, exporting, address, dial } = await exportForStrangers(t);
  const beforeBytes = residentBytes(exporting);
  const connections: Connection[] = [];
  t.after(() => {
    for (const connection of connections) connection.close('the test is over');
  });
  for (let count = 0; count < STRANGERS; count += AT_ONCE) {
    const made = await Promise.all(Array.from({ length: AT_ONCE }, dial));
    connections.push(...made);
    for (const [index, connection] of made.entries()) KINDS[index % KINDS.length]?.(connection);
  }
  const info = await runCommand(t, ['info', address, '--cert', 'certs/ca.pem'], { cwd: folder });
  assert.equal(info.code, 0, info.stderr);
  const growthBytes = peakResidentBytes(exporting) - beforeBytes;
  t.diagnostic(`${Math.round(growthBytes / STRANGERS / KIB)} KiB for each`);
  assert.ok(growthBytes < STRANGERS * STRANGER_BYTES_MAX, `grew by ${growthBytes} bytes`);
  assert.equal((await exporting.stop()).code, 0);
});
