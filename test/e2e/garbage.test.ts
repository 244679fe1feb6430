/** Garbage at the bridge's socket and at the export's port harms nobody. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { runCommand } from '../cli/command.js';
import { clientFlags, goData, option } from '../nbd/support.js';
import {
  MIB,
  openDescriptors,
  type Pair,
  residentBytes,
  startPair,
  startTool,
  tool,
} from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';
import { until } from '../support/wait.js';

const NBD_OPT_EXPORT_NAME = 1;
const NBD_OPT_GO = 7;

const GARBAGE_BYTES = 256 * 1024;
const GROWTH_BYTES_MAX = 40 * MIB;

const HANDSHAKES: readonly (readonly [what: string, bytes: Buffer])[] = [
  ['instead of a handshake', Buffer.alloc(0)],
  ['instead of an option', clientFlags(3)],
  ['as an option', Buffer.concat([clientFlags(3), Buffer.from('IHAVEOPT')])],
  ['as data of an option', Buffer.concat([clientFlags(3), option(NBD_OPT_GO).subarray(0, 14)])],
  ['as requests', Buffer.concat([clientFlags(3), option(NBD_OPT_GO, goData('disk'))])],
  [
    'as requests, after the old handshake',
    Buffer.concat([clientFlags(3), option(NBD_OPT_EXPORT_NAME, Buffer.from('disk'))]),
  ],
];

async function serves(t: TestContext, pair: Pair): Promise<void> {
  assert.equal(await tool(t, 'nbdinfo', '--size', pair.uri), `${MIB}\n`);
  const words = ['info', pair.address, '--cert', 'certs/ca.pem'];
  const info = await runCommand(t, words, { cwd: pair.folder });
  assert.equal(info.code, 0, info.stderr);
}

test('garbage at the socket of the bridge', {
  skip: skipWithout('socat', 'nbdinfo'),
}, async (t) => {
  const pair = await startPair(t, { sizeBytes: MIB });
  const idle = openDescriptors(pair.connecting);
  const file = join(pair.folder, 'garbage');
  const socket = `UNIX-CONNECT:${pair.socketPath}`;
  for (const [what, handshake] of HANDSHAKES) {
    await t.test(what, async () => {
      for (let round = 0; round < 5; round++) {
        writeFileSync(file, Buffer.concat([handshake, randomBytes(GARBAGE_BYTES)]));
        // It may end with an error, as the bridge hangs up on it.
        await startTool(t, 'socat', [`FILE:${file}`, socket]).outcome;
      }
      await until(() => openDescriptors(pair.connecting) === idle, 'all have gone');
    });
  }
  await serves(t, pair);
  await pair.stop();
});

/** Random bytes behind what every first packet of QUIC version 1 begins with. */
function almostInitial(): Buffer {
  const packet = randomBytes(1200);
  packet.writeUInt8(0xc0 | (packet.readUInt8(0) & 0x0f), 0);
  packet.writeUInt32BE(1, 1);
  packet.writeUInt8(8, 5);
  packet.writeUInt8(8, 14);
  packet.writeUInt8(0, 23);
  packet.writeUInt16BE(0x4000 | (1200 - 26), 24);
  return packet;
}

test('random datagrams at the port of the export', {
  skip: skipWithout('socat', 'nbdinfo'),
}, async (t) => {
  const pair = await startPair(t, { sizeBytes: MIB });
  const { hostname, port } = new URL(pair.address);
  const descriptors = openDescriptors(pair.exporting);
  const before = residentBytes(pair.exporting);

  const file = join(pair.folder, 'garbage');
  writeFileSync(file, randomBytes(4 * MIB));
  for (const size of ['17', '1200', '60000']) {
    const words = ['-u', '-b', size, `FILE:${file},readbytes=${300 * Number(size)}`];
    await tool(t, 'socat', ...words, `UDP-SENDTO:${hostname}:${port}`);
  }
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  const send = promisify((packet: Buffer, done: () => void) =>
    socket.send(packet, Number(port), hostname, done),
  );
  for (let i = 0; i < 2000; i++) await send(almostInitial());

  await serves(t, pair);
  assert.equal(openDescriptors(pair.exporting), descriptors);
  const growthBytes = residentBytes(pair.exporting) - before;
  t.diagnostic(`grew by ${growthBytes} bytes`);
  assert.ok(growthBytes < GROWTH_BYTES_MAX, `grew by ${growthBytes} bytes`);
  await pair.stop();
});
