import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { RouteMemory } from '../../src/client/route/route-memory.js';
import type { Clock } from '../../src/clock.js';
import {
  ROUTE_MEMORY_ADDRESSES_MAX,
  ROUTE_MEMORY_FILE_BYTES_MAX,
  ROUTE_MEMORY_LIFE_MS,
} from '../../src/limits.js';
import { type Log, silentLog } from '../../src/log.js';
import { soon } from '../support/wait.js';

const NOW_MS = Date.UTC(2026, 0, 1);
const WHERE = { host: 'storage.example', port: 4433 };

/** However long a file takes, the time for it never ends. */
const PATIENT: Clock = {
  nowMs: () => 0,
  endOfTurn: setImmediate,
  after: () => ({ cancel() {} }),
};

/** Nobody waits for a file. */
const IMPATIENT: Clock = {
  nowMs: () => 0,
  endOfTurn: setImmediate,
  after(_delayMs, task) {
    task();
    return { cancel() {} };
  },
};

/** A folder that is not there yet, what was warned of, and memories that share the folder. */
function setUp(t: TestContext) {
  const parent = mkdtempSync(join(tmpdir(), 'dst-quic-routes-'));
  t.after(() => rmSync(parent, { recursive: true, force: true }));
  const folder = join(parent, 'dst-quic');
  const warnings: unknown[] = [];
  const log: Log = { ...silentLog, warn: (details: unknown) => warnings.push(details) };
  const memory = (where = WHERE, nowMs = NOW_MS, clock = PATIENT) =>
    new RouteMemory({ folder, where, log, clock, dateMs: () => nowMs });
  return { folder, path: join(folder, 'routes.json'), warnings, memory };
}

test('what one process remembers, the next knows; other addresses are others', async (t) => {
  const { memory, warnings } = setUp(t);
  assert.equal(await memory().quicIsSilent(), false);
  await memory().setQuicSilent(true);
  assert.equal(await memory().quicIsSilent(), true);
  assert.equal(await memory({ ...WHERE, port: 4434 }).quicIsSilent(), false);
  assert.equal(await memory({ ...WHERE, host: '::1' }).quicIsSilent(), false);
  assert.deepEqual(warnings, []);
});

test('that QUIC works again is remembered too', async (t) => {
  const { memory } = setUp(t);
  await memory().setQuicSilent(true);
  const next = memory();
  await next.quicIsSilent();
  await next.setQuicSilent(false);
  assert.equal(await memory().quicIsSilent(), false);
});

test('where QUIC works, nothing is written', async (t) => {
  const { memory, folder } = setUp(t);
  const first = memory();
  await first.quicIsSilent();
  await first.setQuicSilent(false);
  assert.throws(() => statSync(folder), { code: 'ENOENT' });
});

test('the file is for its user alone, and nothing is left beside it', async (t) => {
  const { memory, folder, path } = setUp(t);
  await memory().setQuicSilent(true);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(folder), ['routes.json']);
});

test('after a day it is forgotten, and so is what a clock ahead of ours has written', async (t) => {
  const { memory } = setUp(t);
  await memory().setQuicSilent(true);
  assert.equal(await memory(WHERE, NOW_MS + ROUTE_MEMORY_LIFE_MS - 1).quicIsSilent(), true);
  assert.equal(await memory(WHERE, NOW_MS + ROUTE_MEMORY_LIFE_MS).quicIsSilent(), false);
  assert.equal(await memory(WHERE, NOW_MS - 1).quicIsSilent(), false);
  assert.equal(ROUTE_MEMORY_LIFE_MS, 86_400_000);
});

test('only so many addresses are kept, the newest, and they fit', async (t) => {
  const { memory, folder, path } = setUp(t);
  const host = (number: number) => `${'h'.repeat(249)}${String(number).padStart(6, '0')}`;
  const many = Array.from({ length: ROUTE_MEMORY_ADDRESSES_MAX }, (_, number) => [
    `${host(number)}:65535`,
    NOW_MS,
  ]);
  mkdirSync(folder);
  writeFileSync(path, JSON.stringify({ quicSilentSince: Object.fromEntries(many) }));
  await memory().setQuicSilent(true);
  assert.ok(statSync(path).size < ROUTE_MEMORY_FILE_BYTES_MAX);
  assert.equal(await memory({ host: host(0), port: 65535 }).quicIsSilent(), false);
  assert.equal(await memory({ host: host(1), port: 65535 }).quicIsSilent(), true);
  assert.equal(await memory().quicIsSilent(), true);
});

test('changes that overlap are written one after the other', async (t) => {
  const { memory, warnings } = setUp(t);
  const first = memory();
  const changes = Array.from({ length: 9 }, (_, at) => at % 2 === 0);
  await Promise.all([...changes, false].map((silent) => first.setQuicSilent(silent)));
  assert.equal(await memory().quicIsSilent(), false);
  assert.deepEqual(warnings, []);
});

for (const [what, content] of [
  ['is cut off', '{"quicSilentSince":{"stor'],
  ['is something else', '[1, 2]'],
  ['is too long', `{"quicSilentSince":{}}${' '.repeat(ROUTE_MEMORY_FILE_BYTES_MAX)}`],
] as const) {
  test(`a file that ${what} counts as none, with a warning, and is replaced`, async (t) => {
    const { memory, folder, path, warnings } = setUp(t);
    mkdirSync(folder);
    writeFileSync(path, content);
    assert.equal(await memory().quicIsSilent(), false);
    assert.equal(warnings.length, 1);
    await memory().setQuicSilent(true);
    assert.equal(await memory().quicIsSilent(), true);
    assert.ok(JSON.parse(readFileSync(path, 'utf8')));
  });
}

test('a folder that cannot be made costs a warning, and no more', async (t) => {
  const { memory, folder, warnings } = setUp(t);
  writeFileSync(folder, 'a file');
  const first = memory();
  assert.equal(await first.quicIsSilent(), false);
  await first.setQuicSilent(true);
  assert.equal(warnings.length, 1);
});

test('a file system that does not answer holds nothing up', async (t) => {
  const { memory } = setUp(t);
  await memory().setQuicSilent(true);
  assert.equal(await memory(WHERE, NOW_MS, IMPATIENT).quicIsSilent(), false);
});

test('without a folder nothing is remembered', async (t) => {
  const { warnings } = setUp(t);
  const log: Log = { ...silentLog, warn: (details: unknown) => warnings.push(details) };
  const nowhere = new RouteMemory({ folder: undefined, where: WHERE, log });
  await nowhere.setQuicSilent(true);
  assert.deepEqual(warnings, []);
});

test('a named pipe in its place is not waited for', async (t) => {
  const { memory, folder, path, warnings } = setUp(t);
  mkdirSync(folder);
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  try {
    assert.equal(await soon(memory().quicIsSilent(), 'a pipe that nobody writes to'), false);
  } finally {
    // Whoever waits for the other end is let go.
    closeSync(openSync(path, constants.O_RDWR | constants.O_NONBLOCK));
  }
  assert.match(JSON.stringify(warnings), /routes\.json is no file/);
});
