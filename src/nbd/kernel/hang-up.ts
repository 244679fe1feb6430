const POLLRDHUP = 0x2000;
const POLLHUP = 0x10;

/** Tells of a socket's descriptor whether its other end is gone, or has ended its half. */
export type HungUp = (fd: number) => boolean;

/**
 * poll(2) of one descriptor, without waiting. A Unix socket that nobody reads from is told of
 * no end, as that comes behind what is unread; this sees it all the same.
 */
export async function hangUpProbe(): Promise<HungUp> {
  const koffi = await import('koffi');
  const libc = koffi.load(null);
  const poll = libc.func('int poll(void *descriptors, unsigned long count, int timeoutMs)');
  // struct pollfd: the descriptor, what is asked for, and what is the case. The call is
  // synchronous, so one serves all.
  const descriptor = new DataView(new ArrayBuffer(8));
  const bytes = new Uint8Array(descriptor.buffer);
  return (fd) => {
    descriptor.setInt32(0, fd, true);
    descriptor.setInt16(4, POLLRDHUP, true);
    descriptor.setInt16(6, 0, true);
    poll(bytes, 1, 0);
    return (descriptor.getInt16(6, true) & (POLLRDHUP | POLLHUP)) !== 0;
  };
}
