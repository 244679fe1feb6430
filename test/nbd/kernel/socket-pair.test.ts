import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, readFileSync, readSync, writeSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { type SocketPair, socketPair } from '../../../src/nbd/kernel/socket-pair.js';
import { soon } from '../../support/wait.js';

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;

async function openPair(t: TestContext): Promise<SocketPair> {
  const pair = await socketPair();
  t.after(() => pair.incoming.socket.destroy());
  return pair;
}

function flagsOf(fd: number): number {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  return Number.parseInt(flags ?? '', 8);
}

describe('a pair of sockets for the kernel', () => {
  it('carries bytes both ways', async (t) => {
    const { kernelFd, incoming } = await openPair(t);
    t.after(() => closeSync(kernelFd));
    const received = new Promise<string>((resolve) => {
      const receive = (chunk: Buffer) => resolve(String(chunk));
      incoming.deliverTo({ room: undefined, filled() {}, receive });
    });
    writeSync(kernelFd, 'request');
    assert.equal(await soon(received, 'the request'), 'request');
    await new Promise<void>((resolve) => incoming.socket.write('reply', () => resolve()));
    const reply = Buffer.alloc(16);
    assert.equal(reply.toString('utf8', 0, readSync(kernelFd, reply)), 'reply');
  });

  it('tells of the end of the other side, and can still answer', async (t) => {
    const { kernelFd, incoming } = await openPair(t);
    const { socket } = incoming;
    socket.resume();
    closeSync(kernelFd);
    await soon(once(socket, 'end'), 'the end');
    assert.equal(socket.writable, true);
  });

  it('does not outlive an exec, and blocks on the side of the kernel', async (t) => {
    const { kernelFd, ownFd } = await openPair(t);
    t.after(() => closeSync(kernelFd));
    assert.notEqual(flagsOf(kernelFd) & O_CLOEXEC, 0);
    assert.equal(flagsOf(kernelFd) & O_NONBLOCK, 0);
    assert.notEqual(flagsOf(ownFd) & O_CLOEXEC, 0);
  });
});
