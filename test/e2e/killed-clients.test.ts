/** Clients that are killed leave nothing behind in the bridge, and nothing stuck. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MIB,
  openDescriptors,
  type Pair,
  residentBytes,
  startPair,
  tool,
} from '../support/end-to-end.js';
import { skipWithout } from '../support/tools.js';
import { until } from '../support/wait.js';

/** Of each kind. */
const KILLED_CLIENTS = 100;

/** Heaps breathe by less; what the killed clients had in flight is 200 MiB in all. */
const GROWTH_BYTES_MAX = 40 * MIB;

/** What is in flight of a killed client would be waited for, for 10 s. */
const END_MS_MAX = 8_000;

/** Each client is a process that kills itself where it stands. */
const CLIENTS = `
import os, signal, socket, struct

def killed(work, number):
    pid = os.fork()
    if pid == 0:
        try:
            work(number)
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])

name = b'disk'
HANDSHAKE = struct.pack('>L', 3) + b'IHAVEOPT' + struct.pack('>LL', 7, 10) \\
    + struct.pack('>L', len(name)) + name + struct.pack('>H', 0)

def in_handshake(number):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.sendall(HANDSHAKE[:number % (len(HANDSHAKE) + 1)])

# More than the socket takes, so that it ends within a payload, with answers unread.
def in_commands(number):
    client = nbd.NBD()
    client.connect_uri(uri)
    for i in range(4):
        client.aio_pread(nbd.Buffer(256 << 10), i << 20)
        client.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(256 << 10)), i << 20)

for number in range(count):
    killed(in_handshake, number)
    killed(in_commands, number)
`;

async function killClients(
  t: Parameters<typeof tool>[0],
  pair: Pair,
  count: number,
): Promise<void> {
  const values = `uri, path, count = ${JSON.stringify([pair.uri, pair.socketPath, count])}`;
  await tool(t, 'nbdsh', '-c', `${values}${CLIENTS}`);
}

test('200 killed clients', { skip: skipWithout('nbdsh', 'nbdcopy', 'cmp') }, async (t) => {
  const pair = await startPair(t, { sizeBytes: 16 * MIB });
  const ends = [pair.connecting, pair.exporting];
  const idle = openDescriptors(pair.connecting);
  // Heaps and pools grow to what the work takes, once.
  await killClients(t, pair, KILLED_CLIENTS);
  await until(() => openDescriptors(pair.connecting) === idle, 'the first have gone');
  const before = ends.map((end) => ({
    descriptors: openDescriptors(end),
    residentBytes: residentBytes(end),
  }));

  await killClients(t, pair, KILLED_CLIENTS);
  await until(() => openDescriptors(pair.connecting) === idle, 'all have gone');
  for (const [index, end] of ends.entries()) {
    assert.equal(openDescriptors(end), before[index]?.descriptors);
    const growthBytes = residentBytes(end) - (before[index]?.residentBytes ?? 0);
    t.diagnostic(`grew by ${growthBytes} bytes`);
    assert.ok(growthBytes < GROWTH_BYTES_MAX, `grew by ${growthBytes} bytes`);
  }

  // The next client finds all as the first did.
  const out = `${pair.folder}/out.img`;
  await tool(t, 'nbdcopy', pair.uri, out);
  await tool(t, 'cmp', pair.storePath, out);
  const startMs = performance.now();
  await pair.stop();
  assert.ok(performance.now() - startMs < END_MS_MAX, 'nothing in flight is waited for');
});
