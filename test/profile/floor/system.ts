/** What a 4 KiB command costs in the kernel, called as directly as Node can. */
import { closeSync, openSync, writevSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { invariant } from '../../../src/errors.js';
import { temporaryFolder } from '../../cli/command.js';
import type { Cleanup } from '../../support/cleanup.js';
import { type Cost, time } from './timing.js';

const BLOCK_BYTES = 4096;
const AF_INET = 2;
const SOCK_DGRAM = 2;

const libc = koffi.load(null);

export function systemCosts(t: Cleanup): Cost[] {
  return [...nothing(), udp(t), ...pageCache(t)];
}

/** The least that a system call costs, and what of it is the way from JavaScript to C. */
function nothing(): Cost[] {
  const getppid = libc.func('int getppid()');
  const abs = libc.func('int abs(int value)');
  return [
    time('a system call that does nothing (getppid, by koffi)', () => getppid()),
    time('a call of C that does nothing (abs, by koffi)', () => abs(1)),
  ];
}

/** Over loopback, on one thread: the bytes are there when `send` returns. */
function udp(t: Cleanup): Cost {
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const bind = libc.func('int bind(int fd, void *address, uint32_t length)');
  const connect = libc.func('int connect(int fd, void *address, uint32_t length)');
  const getsockname = libc.func('int getsockname(int fd, _Out_ void *address, void *length)');
  const send = libc.func('int64_t send(int fd, void *bytes, size_t length, int flags)');
  const receive = libc.func('int64_t recv(int fd, void *bytes, size_t length, int flags)');
  const sender = socket(AF_INET, SOCK_DGRAM, 0);
  const receiver = socket(AF_INET, SOCK_DGRAM, 0);
  t.after(() => {
    closeSync(sender);
    closeSync(receiver);
  });
  // struct sockaddr_in: family, port 0 for any, 127.0.0.1, padding.
  const address = Buffer.from([AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  const lengthBytes = Buffer.from(new Uint32Array([address.length]).buffer);
  must(bind(receiver, address, address.length), 0);
  must(getsockname(receiver, address, lengthBytes), 0);
  must(connect(sender, address, address.length), 0);
  const bytes = Buffer.alloc(BLOCK_BYTES);
  return time('UDP: 4 KiB sent and received (2 system calls)', () => {
    must(send(sender, bytes, BLOCK_BYTES, 0), BLOCK_BYTES);
    must(receive(receiver, bytes, BLOCK_BYTES, 0), BLOCK_BYTES);
  });
}

function pageCache(t: Cleanup): Cost[] {
  const pwrite = libc.func('int64_t pwrite(int fd, void *bytes, size_t length, int64_t offset)');
  const fd = openSync(join(temporaryFolder(t), 'blocks'), 'w+');
  t.after(() => closeSync(fd));
  const bytes = Buffer.alloc(BLOCK_BYTES, 1);
  const blocks = 4096;
  let block = 0;
  const next = () => (block++ % blocks) * BLOCK_BYTES;
  for (let i = 0; i < blocks; i++) writevSync(fd, [bytes], next());
  return [
    time('4 KiB into the page cache (pwrite, by koffi)', () =>
      must(pwrite(fd, bytes, BLOCK_BYTES, next()), BLOCK_BYTES),
    ),
    time('4 KiB into the page cache (writevSync)', () =>
      must(writevSync(fd, [bytes], next()), BLOCK_BYTES),
    ),
  ];
}

function must(result: number, expected: number): void {
  invariant(result === expected, `a system call returned ${result}, not ${expected}`);
}
