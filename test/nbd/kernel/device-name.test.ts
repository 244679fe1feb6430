import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { devicePath, parseDeviceChoice } from '../../../src/nbd/kernel/device-name.js';

describe('the choice of a kernel device', () => {
  for (const [text, choice] of [
    ['auto', 'auto'],
    ['/dev/nbd0', { index: 0 }],
    ['nbd15', { index: 15 }],
    ['/dev/nbd32767', { index: 32767 }],
  ] as const) {
    it(`reads ${text}`, () => assert.deepEqual(parseDeviceChoice(text), choice));
  }

  for (const text of [
    '',
    'nbd',
    '/dev/sda',
    '/dev/nbd-1',
    'nbd00',
    'nbd32768',
    '/dev/nbd0/',
    'nbd1e3',
  ]) {
    it(`refuses "${text}"`, () => {
      assert.throws(() => parseDeviceChoice(text), { code: 'DST_E_DEVICE_NAME', message: /auto/ });
    });
  }

  it('names the whole device for a partition', () => {
    assert.throws(() => parseDeviceChoice('/dev/nbd0p1'), {
      code: 'DST_E_DEVICE_NAME',
      message: /is a partition: give the whole device, \/dev\/nbd0$/,
    });
  });

  it('shows nothing that steers a terminal', () => {
    assert.throws(() => parseDeviceChoice('nbd0\u001b[2J'), { message: /^"nbd0 \[2J"/ });
  });

  it('leads to a path', () => assert.equal(devicePath(3), '/dev/nbd3'));
});
