import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { skipWithoutNamespaces } from '../../faults/namespaces.js';
import { MIB } from '../../support/end-to-end.js';
import { skipWithout } from '../../support/tools.js';
import { freePort, listensAt } from '../ports.js';
import { Rig } from '../rig.js';
import { startLink } from './link.js';

const skip =
  skipWithoutNamespaces() ||
  skipWithout('gcc', 'socat') ||
  (existsSync('/dev/net/tun') ? false : 'there is no /dev/net/tun');

// TCP hands over many packets as one, of which the link has to cut out those that it loses.
test('what is lost on the way is sent again, and what arrives is right', { skip }, async (t) => {
  const rig = new Rig(t);
  const line = { rttMs: 4, loss: 0.02, bitsPerSecond: 1e9 };
  const { hosts, carrier } = await startLink(rig, line);
  const sent = randomBytes(4 * MIB);
  const [from, to] = [join(rig.folder, 'sent'), join(rig.folder, 'received')];
  writeFileSync(from, sent);
  const port = await freePort();
  const listener = await rig.start(
    {
      name: 'socat',
      words: hosts.onServer(['socat', '-u', `TCP-LISTEN:${port}`, `CREATE:${to}`]),
    },
    listensAt(port),
  );
  await rig.run(hosts.onClient(['socat', '-u', `FILE:${from}`, `TCP:${hosts.serverHost}:${port}`]));
  await listener.succeeded();
  await carrier.stop();

  assert.ok(readFileSync(to).equals(sent), 'the same bytes');
  const [, carried = 0, lost = 0] = /(\d+) lost (\d+) overflowed 0\n$/.exec(carrier.output) ?? [];
  assert.ok(Number(carried) > 2000, `${carrier.output} carried them as packets of 1500 bytes`);
  assert.ok(Number(lost) > 10, `${carrier.output} lost some`);
});
