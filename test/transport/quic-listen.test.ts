import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { silentLog } from '../../src/log.js';
import { dialQuic } from '../../src/transport/quic/dial.js';
import { listenQuic } from '../../src/transport/quic/listen.js';
import { certificatesFor, failsWith, quicListener } from './fixtures.js';

/** Addresses that a wildcard stands for; IPv6 link-local ones need a zone and are left out. */
function ownAddresses(families: string[]): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, scopeid }) => families.includes(family) && !scopeid)
    .map(({ address }) => address);
}

for (const [wildcard, families] of [
  ['0.0.0.0', ['IPv4']],
  ['::', ['IPv4', 'IPv6']],
] as const) {
  test(`${wildcard} listens on one port of each address, and each answers`, async (t) => {
    const { identity, pin } = await certificatesFor(t, ['localhost']);
    const listeners = await listenQuic({ host: wildcard, port: 0, identity, log: silentLog });
    t.after(() => Promise.all(listeners.map((listener) => listener.close())));
    const addresses = listeners.map(({ address: { address } }) => address);
    assert.deepEqual(addresses, ownAddresses([...families]));
    assert.equal(new Set(listeners.map(({ address: { port } }) => port)).size, 1);
    for (const { address } of listeners) {
      const connection = await dialQuic({ host: address.address, port: address.port, trust: pin });
      connection.close('seen');
    }
  });
}

test('a port in use is told as such', async (t) => {
  const { identity } = await certificatesFor(t, ['localhost']);
  const { port } = (await quicListener(t, identity)).address;
  await assert.rejects(
    listenQuic({ host: '127.0.0.1', port, identity, log: silentLog }),
    failsWith('DST_E_ADDRESS_IN_USE'),
  );
});

test('an address of another machine is told as such', async (t) => {
  const { identity } = await certificatesFor(t, ['localhost']);
  await assert.rejects(
    listenQuic({ host: '192.0.2.1', port: 0, identity, log: silentLog }),
    failsWith('DST_E_ADDRESS_UNAVAILABLE'),
  );
});

test('a port is free again when its listener has closed', async (t) => {
  const { identity } = await certificatesFor(t, ['localhost']);
  const first = await quicListener(t, identity);
  await first.close();
  const { port } = first.address;
  const [second] = await listenQuic({ host: '127.0.0.1', port, identity, log: silentLog });
  assert.equal(second?.address.port, port);
  await second.close();
});
