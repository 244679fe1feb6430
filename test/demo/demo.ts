/**
 * The whole job, for `make demo`: a file is exported, the export is connected to, a real file
 * system is copied onto the device and read back with programs that are not ours, and what
 * came back is compared with what was sent.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { formatSize } from '../../src/block/size.js';

const MAIN = fileURLToPath(new URL('../../src/cli/main.cjs', import.meta.url));

/** A real tree that every checkout has, unless another one is given. */
const TREE = process.argv[2] ?? 'node_modules';

/** Room beside the files for what the file system keeps of its own. */
const SIZE_FACTOR = 1.25;
const SIZE_EXTRA_BYTES = 32 * 1024 * 1024;

const MIB = 1024 * 1024;

const PROGRAMS = { mke2fs: 'e2fsprogs', e2fsck: 'e2fsprogs', nbdcopy: 'libnbd-bin' };

// Users who are not root may run these too, but have no path to them on Debian.
process.env.PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

const folder = mkdtempSync(join(tmpdir(), 'dst-quic-demo-'));
const children: ChildProcess[] = [];

try {
  await demonstrate();
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

async function demonstrate(): Promise<void> {
  requirePrograms();
  const image = join(folder, 'filesystem.img');
  const sizeBytes = makeFileSystem(image);

  say('Make certificates');
  run(process.execPath, MAIN, 'cert', '--dir', join(folder, 'certs'));

  say('Export a new, empty file');
  const exporting = await start(
    ...['export', join(folder, 'remote.img'), '--name', 'demo', '--size', `${sizeBytes}`],
    ...['--listen', '127.0.0.1:0', '--cert', join(folder, 'certs/server.pem')],
    ...['--key', join(folder, 'certs/server-key.pem')],
  );

  say('Connect to it');
  const connecting = await start(
    ...['connect', exporting.address, '--cert', join(folder, 'certs/ca.pem')],
    ...['--socket', join(folder, 'demo.sock')],
  );

  say('Copy the file system onto the device, and flush');
  timed('written', sizeBytes, () => run('nbdcopy', '--flush', image, connecting.address));

  say('Copy it back');
  const copy = join(folder, 'copy.img');
  timed('read', sizeBytes, () => run('nbdcopy', connecting.address, copy));

  say('Compare');
  run('cmp', image, copy);
  run('e2fsck', '-fn', copy);
  console.log('  every byte is the same, and the file system is whole');

  say('End the client, then the export');
  await stop(connecting.child);
  await stop(exporting.child);
  run('cmp', image, join(folder, 'remote.img'));
  console.log("  the export's file holds the same bytes");
}

function requirePrograms(): void {
  const missing = Object.entries(PROGRAMS).filter(
    ([program]) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
  );
  if (missing.length === 0) return;
  const names = missing.map(([program]) => program).join(' and ');
  const packages = [...new Set(missing.map(([, name]) => name))].join(' ');
  throw new Error(`${names} must be there first: apt-get install ${packages}`);
}

/** Makes an ext4 image of the tree, and returns its size. */
function makeFileSystem(image: string): number {
  const [kibibytes = ''] = run('du', '-sk', '--apparent-size', TREE).split('\t');
  const treeBytes = Number(kibibytes) * 1024;
  const sizeBytes = Math.ceil((treeBytes * SIZE_FACTOR + SIZE_EXTRA_BYTES) / MIB) * MIB;
  say(`Make an ext4 file system of ${formatSize(sizeBytes)} from ${TREE}`);
  // Small files need an inode each; the default is one for 16 KiB.
  run('mke2fs', '-q', '-t', 'ext4', '-i', '4096', '-d', TREE, image, `${sizeBytes / MIB}M`);
  return statSync(image).size;
}

function say(what: string): void {
  console.log(`== ${what}`);
}

/** Runs a program to its end and returns what it printed; throws with its words if it fails. */
function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${program} failed (${error?.message ?? status}): ${stderr}${stdout}`);
}

function timed(what: string, lengthBytes: number, work: () => void): void {
  const startedMs = performance.now();
  work();
  const seconds = (performance.now() - startedMs) / 1000;
  const speed = formatSize(lengthBytes / seconds);
  console.log(`  ${formatSize(lengthBytes)} ${what} in ${seconds.toFixed(2)} s: ${speed}/s`);
}

/** Starts a command of ours, and waits until it says that it is ready, and where. */
async function start(...args: string[]): Promise<{ child: ChildProcess; address: string }> {
  const words = [MAIN, ...args, '--log-level', 'warn', '--log-format', 'text'];
  const env = { ...process.env, STATE_DIRECTORY: join(folder, 'state') };
  const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const ended = once(child, 'exit').then(() => undefined);
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
  const address = /^ready (.*)$/.exec(`${line?.[0]}`)?.[1];
  if (address === undefined) throw new Error(`dst-quic ${args[0]} did not start`);
  console.log(`  ready ${address}`);
  return { child, address };
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const [code] = await ended;
  if (code !== 0) throw new Error(`it ended with exit code ${code}`);
}
