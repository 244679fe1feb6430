import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  findAttribute,
  numberOf,
  type Request,
  textAttribute,
} from '../../../src/nbd/kernel/netlink.js';
import { NetlinkSocket } from '../../../src/nbd/kernel/netlink-socket.js';

/** Asks the kernel for the number of a family; the controller's own is always 0x10. */
function familyRequest(name: string): Request {
  return { family: 0x10, command: 3, version: 2, attributes: [textAttribute(2, name)] };
}

async function openSocket(t: TestContext): Promise<NetlinkSocket> {
  const socket = await NetlinkSocket.open();
  t.after(() => socket.close());
  return socket;
}

describe('a socket of generic netlink', () => {
  it('is answered by the kernel', async (t) => {
    const socket = await openSocket(t);
    const [answer] = await socket.request(familyRequest('nlctrl'));
    const id = answer && findAttribute(answer.attributes, 1);
    assert.equal(id && numberOf(id), 0x10);
  });

  it('passes on what the kernel refuses, and works on', async (t) => {
    const socket = await openSocket(t);
    await assert.rejects(socket.request(familyRequest('no-such')), { code: 'ENOENT' });
    assert.equal((await socket.request(familyRequest('nlctrl'))).length, 1);
  });

  it('keeps the answers of requests apart that are made at once', async (t) => {
    const socket = await openSocket(t);
    const outcomes = await Promise.allSettled([
      socket.request(familyRequest('nlctrl')),
      socket.request(familyRequest('no-such')),
      socket.request(familyRequest('nlctrl')),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
  });

  it('may be closed twice, and is asked nothing afterwards', async () => {
    const socket = await NetlinkSocket.open();
    socket.close();
    socket.close();
    await assert.rejects(socket.request(familyRequest('nlctrl')), /invariant broken/);
  });
});
