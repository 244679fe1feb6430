import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  lookAtOwnPath,
  parseDefaultRoutes4,
  parseDefaultRoutes6,
} from '../../src/transport/own-path.js';

test('the way to this machine itself is by its loopback address', async () => {
  const way = await lookAtOwnPath({ address: '127.0.0.1', port: 9 });
  assert.match(way ?? '', /^127\.0\.0\.1/);
  assert.equal(await lookAtOwnPath({ address: '127.0.0.1', port: 9 }), way);
});

test('where there is no way there is none to describe', async () => {
  assert.equal(await lookAtOwnPath({ address: 'fe80::1%nowhere', port: 9 }), undefined);
});

test('default IPv4 routes are told from others, in an order of their own', () => {
  const table = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0',
    'eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0',
    'eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0',
    'tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0',
    '',
  ].join('\n');
  assert.deepEqual(parseDefaultRoutes4(table), ['eth0 0101A8C0 100', 'wlan0 0102A8C0 600']);
});

test('default IPv6 routes are told from others, and from the one that rejects', () => {
  const ZERO = '0'.repeat(32);
  const GATEWAY = `fe80${'0'.repeat(27)}1`;
  const table = [
    `20010db8${'0'.repeat(24)} 40 ${ZERO} 00 ${ZERO} 00000100 00000001 00000000 00000001     eth0`,
    `${ZERO} 00 ${ZERO} 00 ${GATEWAY} 00000400 00000001 00000000 00450003     eth0`,
    `${ZERO} 00 ${ZERO} 00 ${ZERO} ffffffff 00000001 00000000 00200200       lo`,
    '',
  ].join('\n');
  assert.deepEqual(parseDefaultRoutes6(table), [`eth0 ${GATEWAY} 00000400`]);
});

test('a table that is cut short or empty is no error', () => {
  assert.deepEqual(parseDefaultRoutes4(''), []);
  assert.deepEqual(parseDefaultRoutes4('Iface\nwlan0\t00000000\t01'), []);
  assert.deepEqual(parseDefaultRoutes6(`${'0'.repeat(32)} 00`), []);
});
