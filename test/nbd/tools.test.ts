import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Capabilities } from '../../src/block/device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { payloadOf } from '../../src/block/payload.js';
import { silentLog } from '../../src/log.js';
import { Bridge } from '../../src/nbd/bridge.js';
import { skipWithout } from '../support/tools.js';
import { EVERYTHING, runTool, ScriptedDevice, startBridge, temporaryFolder } from './support.js';

const NO_NBDINFO = skipWithout('nbdinfo');
const NO_NBDCOPY = skipWithout('nbdcopy');
const NO_NBDSH = skipWithout('nbdsh');
const MIB = 1 << 20;

test('nbdinfo shows the export', { skip: NO_NBDINFO }, async (t) => {
  const { bridge } = await startBridge(t, new MemoryDevice(3 * MIB), { description: 'spare' });
  const info = JSON.parse(await runTool('nbdinfo', '--json', bridge.uri));
  assert.equal(info.protocol, 'newstyle-fixed');
  assert.equal(info.structured, true);
  const [shown] = info.exports;
  assert.equal(shown['export-name'], 'disk');
  assert.equal(shown.description, 'spare');
  assert.equal(shown['export-size'], 3 * MIB);
  assert.deepEqual(shown.contexts, ['base:allocation']);
  assert.equal(shown.block_size_minimum, 1);
  assert.equal(shown.block_size_preferred, 4096);
  assert.equal(shown.block_size_maximum, 32 * MIB);
});

test('nbdinfo lists the export, and it works over TCP', { skip: NO_NBDINFO }, async (t) => {
  const bridge = await Bridge.listen({
    exportName: 'a disk',
    device: new MemoryDevice(MIB),
    listen: { host: '127.0.0.1', port: 0 },
    log: silentLog,
  });
  t.after(() => bridge.close(0));
  const list = JSON.parse(await runTool('nbdinfo', '--list', '--json', bridge.uri));
  assert.deepEqual(
    list.exports.map((shown: { 'export-name': string }) => shown['export-name']),
    ['a disk'],
  );
});

const NOTHING: Capabilities = {
  readOnly: true,
  flush: false,
  fua: false,
  trim: false,
  writeZeroes: false,
  fastZero: false,
  blockStatus: false,
  cache: false,
  rotational: true,
};

for (const [what, capabilities, expected] of [
  ['everything', EVERYTHING, {}],
  ['everything but read-only', { ...EVERYTHING, readOnly: true }, { is_read_only: true }],
  ['nothing', NOTHING, { is_read_only: true, is_rotational: true }],
] as const) {
  test(`nbdinfo --can and --is of a device with ${what}`, { skip: NO_NBDINFO }, async (t) => {
    const { bridge } = await startBridge(t, new ScriptedDevice({ capabilities }));
    const info = JSON.parse(await runTool('nbdinfo', '--no-content', '--json', bridge.uri));
    const changes = !capabilities.readOnly;
    const [shown] = info.exports;
    const facts = Object.entries(shown).filter(([name]) => /^(can|is)_/.test(name));
    assert.deepEqual(Object.fromEntries(facts), {
      is_rotational: false,
      is_read_only: false,
      can_cache: capabilities.cache,
      can_df: true,
      can_fast_zero: capabilities.fastZero && changes,
      can_flush: capabilities.flush,
      can_fua: capabilities.fua,
      can_multi_conn: true,
      can_trim: capabilities.trim && changes,
      can_zero: capabilities.writeZeroes && changes,
      ...expected,
    });
    const can = (word: string) =>
      runTool('nbdinfo', '--can', word, bridge.uri).then(
        () => true,
        () => false,
      );
    assert.equal(await can('write'), changes);
    assert.equal(await can('structured-reply'), true);
  });
}

test('nbdinfo --map shows data and holes', { skip: NO_NBDINFO }, async (t) => {
  const device = new MemoryDevice(MIB);
  await device.write(256 * 1024, payloadOf([Buffer.alloc(64 * 1024, 1)]));
  const { bridge } = await startBridge(t, device);
  const map = JSON.parse(await runTool('nbdinfo', '--map', '--json', bridge.uri));
  assert.deepEqual(
    map.map(({ offset, length, type }: Record<string, number>) => [offset, length, type]),
    [
      [0, 262144, 3],
      [262144, 65536, 0],
      [327680, 720896, 3],
    ],
  );
});

test('nbdcopy brings data in and out unchanged', { skip: NO_NBDCOPY }, async (t) => {
  const folder = await temporaryFolder(t);
  const source = randomBytes(5 * MIB + 512);
  source.fill(0, MIB, 3 * MIB);
  writeFileSync(join(folder, 'in'), source);
  const { bridge } = await startBridge(t, new MemoryDevice(source.length));
  await runTool('nbdcopy', '--flush', join(folder, 'in'), bridge.uri);
  await runTool('nbdcopy', bridge.uri, join(folder, 'out'));
  assert(readFileSync(join(folder, 'out')).equals(source));
  assert.equal(bridge.stats.inFlight, 0);
});

/** What each request ended with: 'fine' or the name of an errno. */
async function errnosOf(uri: string, requests: readonly string[]): Promise<string[]> {
  const code = [
    'import errno, json',
    'h.set_strict_mode(0)',
    'h.add_meta_context("base:allocation")',
    `h.connect_uri(${JSON.stringify(uri)})`,
    'MIB = 1 << 20',
    'answers = []',
    'def ask(f):',
    '    try:',
    '        f()',
    '        return "fine"',
    '    except nbd.Error as e:',
    '        return e.errno or errno.errorcode[e.errnum]',
    ...requests.map((request) => `answers.append(ask(lambda: h.${request}))`),
    'answers.append(ask(lambda: h.pread(512, 0)))',
    'print(json.dumps(answers))',
  ].join('\n');
  return JSON.parse(await runTool('nbdsh', '-c', code));
}

async function checkErrnos(uri: string, table: readonly [string, string][]): Promise<void> {
  const answers = await errnosOf(
    uri,
    table.map(([request]) => request),
  );
  const shown = table.map(([request], index) => [request, answers[index]]);
  assert.deepEqual(shown, table);
  // The connection has survived them all.
  assert.equal(answers.at(-1), 'fine');
}

test('nbdsh: wrong requests get their errno', { skip: NO_NBDSH }, async (t) => {
  const device = new MemoryDevice(64 * MIB);
  const { bridge } = await startBridge(t, device);
  const callback = 'lambda *a: 0';
  await checkErrnos(bridge.uri, [
    ['pread(512, 64*MIB)', 'EINVAL'],
    ['pread(1024, 64*MIB-512)', 'EINVAL'],
    ['pread(0, 0)', 'EINVAL'],
    ['pread(33*MIB, 0)', 'EOVERFLOW'],
    ['pread(512, 0, nbd.CMD_FLAG_DF)', 'fine'],
    ['pread(512, 0, nbd.CMD_FLAG_REQ_ONE)', 'EINVAL'],
    ['pwrite(bytearray(512), 64*MIB)', 'ENOSPC'],
    ['pwrite(bytearray(1024), 64*MIB-512)', 'ENOSPC'],
    ['pwrite(bytearray(33*MIB), 0)', 'EINVAL'],
    ['pwrite(bytearray(32*MIB), 0)', 'fine'],
    ['pwrite(bytearray(512), 0, nbd.CMD_FLAG_NO_HOLE)', 'EINVAL'],
    ['pwrite(bytearray(512), 0, nbd.CMD_FLAG_FUA)', 'fine'],
    ['trim(512, 64*MIB)', 'EINVAL'],
    ['trim(0, 0)', 'EINVAL'],
    ['zero(512, 64*MIB)', 'ENOSPC'],
    ['zero(64*MIB, 0)', 'fine'],
    ['zero(512, 0, nbd.CMD_FLAG_FAST_ZERO)', 'fine'],
    ['cache(512, 64*MIB)', 'EINVAL'],
    ['cache(64*MIB, 0)', 'fine'],
    ['flush(nbd.CMD_FLAG_DF)', 'EINVAL'],
    [`block_status(512, 64*MIB, ${callback})`, 'EINVAL'],
    [`block_status(512, 0, ${callback}, nbd.CMD_FLAG_DF)`, 'EINVAL'],
    [`block_status(512, 0, ${callback}, nbd.CMD_FLAG_REQ_ONE)`, 'fine'],
  ]);
});

test('nbdsh: what was not offered is refused', { skip: NO_NBDSH }, async (t) => {
  const device = new ScriptedDevice({
    capabilities: { ...NOTHING, readOnly: false },
    minimumBlockBytes: 512,
    answersAtOnce: true,
  });
  const { bridge } = await startBridge(t, device);
  await checkErrnos(bridge.uri, [
    ['flush()', 'EINVAL'],
    ['trim(512, 0)', 'EINVAL'],
    ['zero(512, 0)', 'EINVAL'],
    ['cache(512, 0)', 'EINVAL'],
    ['pwrite(bytearray(512), 0, nbd.CMD_FLAG_FUA)', 'EINVAL'],
    ['pwrite(bytearray(512), 256)', 'EINVAL'],
    ['pread(100, 0)', 'EINVAL'],
  ]);
});

test('nbdsh: a read-only export refuses changes', { skip: NO_NBDSH }, async (t) => {
  const { bridge } = await startBridge(t, new MemoryDevice(MIB, { readOnly: true }));
  await checkErrnos(bridge.uri, [
    ['pwrite(bytearray(512), 0)', 'EPERM'],
    ['trim(512, 0)', 'EPERM'],
    ['zero(512, 0)', 'EPERM'],
    ['flush()', 'fine'],
  ]);
});

test('nbdsh: clients without structured replies are served', { skip: NO_NBDSH }, async (t) => {
  const { bridge } = await startBridge(t, new MemoryDevice(MIB));
  const code = [
    'h.set_request_structured_replies(False)',
    `h.connect_uri(${JSON.stringify(bridge.uri)})`,
    'h.pwrite(b"plain", 4096)',
    'print(h.pread(5, 4096).decode(), h.can_df(), h.get_structured_replies_negotiated())',
  ].join('\n');
  assert.equal(await runTool('nbdsh', '-c', code), 'plain False False\n');
});

test('nbdsh: writes of one connection are read by another', { skip: NO_NBDSH }, async (t) => {
  const { bridge } = await startBridge(t, new MemoryDevice(MIB));
  const code = [
    'handles = [nbd.NBD() for _ in range(4)]',
    `for one in handles: one.connect_uri(${JSON.stringify(bridge.uri)})`,
    'for i, one in enumerate(handles): one.pwrite(bytes([65 + i]) * 512, 512 * i)',
    'print(all(one.pread(2048, 0) == handles[0].pread(2048, 0) for one in handles))',
    'print(handles[3].pread(2048, 0)[::512].decode())',
  ].join('\n');
  assert.equal(await runTool('nbdsh', '-c', code), 'True\nABCD\n');
});
