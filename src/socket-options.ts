/** Options of sockets that Node has no words for, by libc's own calls. */

/** For any open descriptor; none of these throws. */
export interface SocketOptions {
  /** The value of an option that is a number; undefined where the descriptor has no such option. */
  get(fd: number, level: number, name: number): number | undefined;
  /** Whether it took the value. */
  set(fd: number, level: number, name: number, value: number): boolean;
}

let bound: Promise<SocketOptions> | undefined;

/** Binds libc at the first call. Rejects where this process cannot call it. */
export function socketOptions(): Promise<SocketOptions> {
  bound ??= bind();
  return bound;
}

async function bind(): Promise<SocketOptions> {
  const koffi = await import('koffi');
  const libc = koffi.load(null);
  const getsockopt = libc.func(
    'int getsockopt(int fd, int level, int name, _Out_ int *value, _Inout_ uint32_t *length)',
  );
  const setsockopt = libc.func(
    'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
  );
  return {
    get(fd, level, name) {
      const value = new Int32Array(1);
      const length = new Uint32Array([value.byteLength]);
      return getsockopt(fd, level, name, value, length) === 0 ? value[0] : undefined;
    },
    set(fd, level, name, value) {
      const bytes = new Int32Array([value]);
      return setsockopt(fd, level, name, bytes, bytes.byteLength) === 0;
    },
  };
}
