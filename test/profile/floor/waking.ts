/** What it costs to wake somebody: another thread, and another process's event loop. */

import { once } from 'node:events';
import { createServer, connect as netConnect, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { startProgram, temporaryFolder } from '../../cli/command.js';
import type { Cleanup } from '../../support/cleanup.js';
import { type Cost, time, timeLater } from './timing.js';

const REQUEST_BYTES = 4096 + 28;
const REPLY_BYTES = 16;

export async function wakingCosts(t: Cleanup): Promise<Cost[]> {
  return [await threads(t), await unixSocket(t)];
}

/** Two threads that wait for each other by futex, which is the least that waiting costs. */
async function threads(t: Cleanup): Promise<Cost> {
  const turn = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(
    `const { workerData: turn } = require('node:worker_threads');
     for (;;) {
       Atomics.wait(turn, 0, 0);
       Atomics.store(turn, 0, 0);
       Atomics.notify(turn, 0);
     }`,
    { eval: true, workerData: turn },
  );
  t.after(() => worker.terminate());
  await once(worker, 'online');
  const { bestUs } = time('', () => {
    Atomics.store(turn, 0, 1);
    Atomics.notify(turn, 0);
    Atomics.wait(turn, 0, 1);
  });
  return { what: 'a thread wakes another (futex)', bestUs: bestUs / 2 };
}

/** Another process of Node answers each request; both wait in their event loops. */
async function unixSocket(t: Cleanup): Promise<Cost> {
  const path = join(temporaryFolder(t), 'echo.sock');
  const running = startProgram(t, process.execPath, [fileURLToPath(import.meta.url), path]);
  await running.line(0);
  const socket = netConnect(path);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  const request = Buffer.alloc(REQUEST_BYTES);
  let answered: (() => void) | undefined;
  countBytes(socket, REPLY_BYTES, () => answered?.());
  return timeLater('a Unix socket there and back, 4 KiB and 16 bytes (2 event loops)', () => {
    socket.write(request);
    return new Promise<void>((resolve) => {
      answered = resolve;
    });
  });
}

function countBytes(socket: Socket, messageBytes: number, whole: () => void): void {
  let bytes = 0;
  socket.on('data', (chunk) => {
    bytes += chunk.length;
    for (; bytes >= messageBytes; bytes -= messageBytes) whole();
  });
}

/** As a program: the one that answers. */
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const reply = Buffer.alloc(REPLY_BYTES);
  createServer((socket) => countBytes(socket, REQUEST_BYTES, () => socket.write(reply))).listen(
    process.argv[2],
    () => console.log('ready'),
  );
}
