import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONTENDER_NAMES } from './contenders.js';
import { parseSettings } from './settings.js';

test('without variables all is measured but the wide area', () => {
  assert.deepEqual(parseSettings({}), {
    quick: false,
    parts: ['loopback', 'checksums', 'mtu', 'memory'],
    rounds: undefined,
    cell: '',
    contenders: CONTENDER_NAMES,
    connectOptions: [],
    exportOptions: [],
  });
});

test('a quick run leaves contenders out, unless they are named', () => {
  const { contenders } = parseSettings({ QUICK: '1' });
  assert.ok(contenders.includes('nbd-tls') && !contenders.includes('quic-memory'));
  const named = parseSettings({ QUICK: '1', CONTENDERS: 'quic-memory' });
  assert.deepEqual(named.contenders, ['quic-memory']);
});

test('lists keep the order of the tables, with spaces or without', () => {
  const { contenders, parts } = parseSettings({
    CONTENDERS: 'quic, nbd-tls',
    PARTS: 'mtu,loopback',
  });
  assert.deepEqual(contenders, ['nbd-tls', 'quic']);
  assert.deepEqual(parts, ['loopback', 'mtu']);
});

test('options for our commands are words', () => {
  const { connectOptions, exportOptions } = parseSettings({
    BENCH_CONNECT_OPTIONS: ' --checksum  xxh128 ',
    BENCH_EXPORT_OPTIONS: '--shared',
  });
  assert.deepEqual(connectOptions, ['--checksum', 'xxh128']);
  assert.deepEqual(exportOptions, ['--shared']);
});

test('an empty variable is as good as none', () => {
  const settings = parseSettings({ CONTENDERS: '', PARTS: '', ROUNDS: '', CELL: '' });
  assert.deepEqual(settings, parseSettings({}));
});

test('an unknown name is refused with those that are known', () => {
  assert.throws(() => parseSettings({ CONTENDERS: 'quick' }), /no "quick" among nbd-tls, /);
  assert.throws(() => parseSettings({ PARTS: 'wan' }), /no "wan" among loopback, .*wide-area/);
});

test('rounds are a whole number', () => {
  assert.equal(parseSettings({ ROUNDS: '7' }).rounds, 7);
  for (const ROUNDS of ['0', '2.5', 'many']) {
    assert.throws(() => parseSettings({ ROUNDS }), /ROUNDS/, ROUNDS);
  }
});

test('a part of the name of no cell is refused with the names', () => {
  assert.equal(parseSettings({ CELL: '128 KiB' }).cell, '128 KiB');
  assert.throws(() => parseSettings({ CELL: '4K write' }), /no cell has "4K write".*1 MiB read/);
});
