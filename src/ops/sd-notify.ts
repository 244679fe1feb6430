import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { DstError } from '../errors.js';
import { SERVICE_NOTIFY_TIMEOUT_MS, SOCKET_PATH_BYTES_MAX } from '../limits.js';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** How often a full queue is tried again. */
const RETRY_MS = 10;

/**
 * Tells the service manager how this process does, as sd_notify(3): does nothing where
 * `socketPath` is undefined. A path that begins with @ is in the abstract namespace.
 *
 * Rejects with DST_E_SERVICE_NOTIFY when the manager can't be told.
 */
export async function notifyService(
  state: 'READY=1' | 'STOPPING=1',
  socketPath = process.env.NOTIFY_SOCKET,
): Promise<void> {
  if (!socketPath) return;
  const address = socketAddress(socketPath);
  const message = Buffer.from(state);
  const deadlineMs = performance.now() + SERVICE_NOTIFY_TIMEOUT_MS;
  const { open, send } = await bind();
  const fd = open();
  try {
    for (;;) {
      const errno = send(fd, message, address);
      if (errno === 0) return;
      const full = errno === constants.errno.EAGAIN || errno === constants.errno.ENOBUFS;
      if (!full || performance.now() >= deadlineMs) throw notifyError(socketPath, errno);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  } finally {
    closeSync(fd);
  }
}

/** A `sockaddr_un` (unix(7)), of just the length that the path needs. */
function socketAddress(path: string): Buffer {
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : path);
  if (!/^[@/]/.test(path) || name.length > SOCKET_PATH_BYTES_MAX) {
    throw new DstError(
      'DST_E_SERVICE_NOTIFY',
      `NOTIFY_SOCKET is "${path}", which is no Unix socket's path: the service manager was not told`,
    );
  }
  const family = Buffer.alloc(2);
  new Uint16Array(family.buffer, family.byteOffset, 1)[0] = AF_UNIX;
  return Buffer.concat([family, name]);
}

/** Node has no Unix datagrams, so these are libc's. `send` returns an errno, 0 for success. */
async function bind(): Promise<{
  open: () => number;
  send: (fd: number, message: Buffer, address: Buffer) => number;
}> {
  const koffi = await import('koffi');
  const libc = koffi.load(null);
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const sendto = libc.func(
    'int64_t sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t address_length)',
  );
  return {
    open: () => {
      const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number;
      if (fd < 0) throw notifyError('a socket', koffi.errno());
      return fd;
    },
    send: (fd, message, address) => {
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      const sent = sendto(fd, message, message.length, flags, address, address.length) as number;
      return sent < 0 ? koffi.errno() : 0;
    },
  };
}

function notifyError(what: string, errno: number): DstError {
  return new DstError(
    'DST_E_SERVICE_NOTIFY',
    `the service manager could not be told by ${what} (${getSystemErrorName(-errno)}): check NOTIFY_SOCKET`,
  );
}
