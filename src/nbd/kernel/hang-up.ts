const POLLRDHUP = 0x2000;
const POLLHUP = 0x10;

/** The size of struct pollfd, and where in it things are. */
const ENTRY_BYTES = 8;
const EVENTS_AT = 4;
const RETURNED_EVENTS_AT = 6;

/** Tells of which sockets the other end is gone, or has ended its half. */
export type HungUp = <T extends { readonly fd: number }>(sockets: ReadonlySet<T>) => readonly T[];

/**
 * poll(2) without waiting, of all sockets at once. A Unix socket tells of its end only behind
 * what is unread; this sees it all the same. It takes about 1 us.
 */
export async function hangUpProbe(): Promise<HungUp> {
  const koffi = await import('koffi');
  const libc = koffi.load(null);
  const poll = libc.func('int poll(void *descriptors, unsigned long count, int timeoutMs)');
  // The call is synchronous, so one array of entries serves all.
  let entries = new DataView(new ArrayBuffer(0));
  return (sockets) => {
    if (entries.byteLength < sockets.size * ENTRY_BYTES) {
      entries = new DataView(new ArrayBuffer(sockets.size * ENTRY_BYTES));
    }
    let at = 0;
    for (const { fd } of sockets) {
      entries.setInt32(at, fd, true);
      entries.setInt16(at + EVENTS_AT, POLLRDHUP, true);
      entries.setInt16(at + RETURNED_EVENTS_AT, 0, true);
      at += ENTRY_BYTES;
    }
    const found: number = poll(new Uint8Array(entries.buffer), sockets.size, 0);
    if (found <= 0) return [];
    return [...sockets].filter((_, place) => {
      const returned = entries.getInt16(place * ENTRY_BYTES + RETURNED_EVENTS_AT, true);
      return (returned & (POLLRDHUP | POLLHUP)) !== 0;
    });
  };
}
