import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command, Option } from 'commander';
import { type DeviceOptions, deviceOptions } from '../../src/cli/device-options.js';

function parse(...words: string[]): DeviceOptions {
  const command = new Command().exitOverride().configureOutput({ outputError: () => {} });
  command.addOption(new Option('--socket <path>')).addOption(new Option('--listen <place>'));
  for (const option of deviceOptions()) command.addOption(option);
  return command.parse(words, { from: 'user' }).opts<DeviceOptions>();
}

test('without them there is no device, and what else they say are the defaults', () => {
  assert.deepEqual(parse(), { kernelConnections: 2, orphanTimeout: 600_000, tune: true });
});

test('a device, or any', () => {
  assert.deepEqual(parse('--device', '/dev/nbd3').device, { index: 3 });
  assert.equal(parse('--device', 'auto').device, 'auto');
  assert.throws(() => parse('--device', '/dev/nbd3p1'), { code: 'DST_E_DEVICE_NAME' });
});

test('a device is served instead of a socket', () => {
  assert.throws(() => parse('--device', 'auto', '--socket', 's'), /cannot be used with/);
  assert.throws(() => parse('--device', 'auto', '--listen', 'l'), /cannot be used with/);
});

test('from 1 to 16 sockets for the kernel', () => {
  assert.equal(parse('--kernel-connections', '16').kernelConnections, 16);
  for (const text of ['0', '17', 'two', '-1']) {
    assert.throws(() => parse('--kernel-connections', text), /from 1 to 16/);
  }
});

test('a time to wait for the next client, from a second on', () => {
  assert.equal(parse('--orphan-timeout', '1h').orphanTimeout, 3_600_000);
  assert.throws(() => parse('--orphan-timeout', '10ms'), { code: 'DST_E_DURATION' });
});

test('the queue settings can be left alone', () => {
  assert.equal(parse('--no-tune').tune, false);
});
