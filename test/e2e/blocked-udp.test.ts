/** A client and an export, with a firewall between them that drops UDP without a word. */
import assert from 'node:assert/strict';
import type { SpawnOptions } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { formatAddress, type Scheme } from '../../src/client/address.js';
import { CACHE_FOLDER_NAME, folderWithCertificates, type Running } from '../cli/command.js';
import { Load } from '../faults/load.js';
import { Namespaces, skipWithoutNamespaces } from '../faults/namespaces.js';
import { NbdClient } from '../faults/nbd-client.js';
import { ExportProcess, STORE_NAME } from '../faults/processes.js';
import { MIB, makeSparse, readyUri } from '../support/end-to-end.js';

/**
 * What the choice may cost a start, above one that asks for WebTransport: QUIC_TRY_MS is in it.
 * Such a start takes less than the rest of 3 s on a machine that does nothing else.
 */
const CHOICE_MS_MAX = 2_500;

/** A machine that is busy with other tests may be slow to start a process, but not each time. */
const STARTS_MAX = 4;

const STORE_BYTES = 16 * MIB;

/** So that a test need not wait for a minute. */
const PROBE_INTERVAL_MS = 500;

const skip = skipWithoutNamespaces();

interface World {
  readonly spaces: Namespaces;
  /** Starts a command on the client's machine that is given the export's address. */
  run(command: string, ...args: string[]): Running;
  connect(): Running;
  /** Asks for WebTransport, and has nothing to choose. */
  connectByWebTransport(): Running;
  /** Removes what the client remembers. */
  forget(): void;
  readonly socketPath: string;
}

async function newWorld(t: TestContext): Promise<World> {
  const spaces = Namespaces.start(t);
  const folder = await folderWithCertificates(t);
  const storePath = join(folder, 'store.img');
  makeSparse(storePath, STORE_BYTES);
  const exporting = await ExportProcess.start(t, {
    folder,
    storePath,
    host: spaces.exportHost,
    args: ['--allow', spaces.clientNetworks],
    launch: spaces.launchOnExport,
  });
  const socketPath = join(folder, 'bridge.sock');
  const addressBy = (scheme?: Scheme) =>
    formatAddress({ scheme, ...exporting.address }, STORE_NAME);
  const options: SpawnOptions = {
    cwd: folder,
    env: {
      ...process.env,
      TMPDIR: folder,
      DST_QUIC_PROBE_INTERVAL_MS: String(PROBE_INTERVAL_MS),
    },
  };
  const launch = (command: string, address: string, ...args: string[]) =>
    spaces.launchOnClient(t, [command, address, '--cert', 'certs/server.pem', ...args], options);
  const run = (command: string, ...args: string[]) => launch(command, addressBy(), ...args);
  return {
    spaces,
    socketPath,
    run,
    connect: () => run('connect', '--socket', socketPath),
    connectByWebTransport: () => launch('connect', addressBy('https'), '--socket', socketPath),
    forget: () => rmSync(join(folder, CACHE_FOLDER_NAME), { recursive: true, force: true }),
  };
}

/** From its start, which was just now, to the line that says so. */
async function timeToReady(client: Running): Promise<number> {
  const startMs = performance.now();
  await readyUri(client);
  return Math.round(performance.now() - startMs);
}

describe('where UDP is dropped', { skip, concurrency: true }, () => {
  test('a client is ready within 3 s, and the next command knows the way', async (t) => {
    const { spaces, run, connect, connectByWebTransport, forget } = await newWorld(t);
    spaces.dropUdp();
    const choiceMs: number[] = [];
    do {
      forget();
      const direct = connectByWebTransport();
      const directMs = await timeToReady(direct);
      assert.equal((await direct.stop()).code, 0);
      const client = connect();
      const readyMs = await timeToReady(client);
      t.diagnostic(`ready after ${readyMs} ms, and asked for WebTransport after ${directMs} ms`);
      choiceMs.push(readyMs - directMs);
      await client.logged('by webtransport over HTTP/2 (QUIC did not answer within 2 s)');
      const { stdout } = await run('info', '--json').outcome;
      const { transport, protocol, reason } = JSON.parse(stdout);
      assert.deepEqual([transport, protocol, reason], ['webtransport', 'http/2', 'remembered']);
      assert.equal((await client.stop()).code, 0);
    } while (Math.min(...choiceMs) > CHOICE_MS_MAX && choiceMs.length < STARTS_MAX);
    assert.ok(Math.min(...choiceMs) <= CHOICE_MS_MAX, `the choice took ${choiceMs.join(', ')} ms`);
  });

  test('a session moves away from QUIC, and back to it, while its I/O goes on', async (t) => {
    const { spaces, connect, socketPath } = await newWorld(t);
    const client = connect();
    await readyUri(client);
    await client.logged('by quic"');
    const device = await NbdClient.connect(socketPath, STORE_NAME);
    const load = new Load(device);
    load.start();
    await load.progress(100);
    spaces.dropUdp();
    await client.logged('connected to the export again by webtransport');
    await load.progress(100);
    spaces.passUdp();
    await client.logged('connected to the export again by quic');
    await load.progress(100);
    const { ioErrors, verifyErrors, problems, longestStallMs } = await load.stop();
    t.diagnostic(`longest stall: ${Math.round(longestStallMs)} ms`);
    assert.deepEqual([ioErrors, verifyErrors], [0, 0], problems.join('\n'));
    await device.close();
    assert.equal((await client.stop()).code, 0);
  });
});
