/** Garbage at the bridge's socket and at the export's ports harms nobody. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
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
import { soon, until } from '../support/wait.js';

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

const GARBAGE_CONNECTIONS = 30;

const NOTHING = Buffer.alloc(0);

/** What every client of HTTP/2 begins with, and an empty SETTINGS frame (RFC 9113, 3.4). */
const HTTP2_PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

/** Sends garbage after `head`; the export may leave it to us to hang up. */
async function offer(socket: Socket, head: Buffer): Promise<void> {
  // Whichever way the export hangs up.
  socket.on('error', () => {});
  socket.resume();
  const sent = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
    socket.end(Buffer.concat([head, randomBytes(GARBAGE_BYTES / 8)]), resolve);
  });
  await soon(sent, 'the garbage to be sent');
  socket.destroy();
}

test('garbage at the TCP port of the export', { skip: skipWithout('nbdinfo') }, async (t) => {
  const pair = await startPair(t, { scheme: 'https', sizeBytes: MIB });
  const { hostname, port } = new URL(pair.address);
  const place = { host: hostname, port: Number(port) };
  const ca = readFileSync(join(pair.folder, 'certs/ca.pem'));
  const tls = () => connectTls({ ...place, ca, ALPNProtocols: ['h2'] });
  const descriptors = openDescriptors(pair.exporting);
  const before = residentBytes(pair.exporting);
  for (let i = 0; i < GARBAGE_CONNECTIONS; i++) {
    await offer(createConnection(place), NOTHING);
    await offer(tls(), NOTHING);
  }
  await until(() => openDescriptors(pair.exporting) === descriptors, 'all have gone');
  // Node (20) keeps such a one, and reads no more of it, until our time for it is over.
  for (let i = 0; i < GARBAGE_CONNECTIONS; i++) await offer(tls(), HTTP2_PREFACE);
  await serves(t, pair);
  const growthBytes = residentBytes(pair.exporting) - before;
  t.diagnostic(`grew by ${growthBytes} bytes`);
  assert.ok(growthBytes < GROWTH_BYTES_MAX, `grew by ${growthBytes} bytes`);
  await pair.stop();
});
