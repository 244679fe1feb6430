import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialHost } from '../../src/transport/dial-host.js';
import { HostAddresses } from '../../src/transport/host-addresses.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import type { Connection } from '../../src/transport/transport.js';

test('a dial that is to be like a connection goes to its peer’s address, whatever the name has', async () => {
  const network = new MemoryNetwork();
  network.listen().onConnection(() => {});
  const connection = await network.dial();
  const like = { peer: { address: '192.0.2.7', port: 4433 } } as Connection;
  const tried: string[] = [];
  const addresses = new HostAddresses('storage.example', async () => ['192.0.2.1', '192.0.2.7']);
  await dialHost({ host: 'storage.example', port: 4433, addresses, like }, 'UDP', async (peer) => {
    tried.push(peer.address);
    return connection;
  });
  assert.deepEqual(tried, ['192.0.2.7']);
  connection.close('seen');
});
