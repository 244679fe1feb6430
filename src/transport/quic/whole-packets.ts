/**
 * Keeps the kernel from cutting the engine's packets into fragments. The engine finds out by
 * trying how large packets may be, and does not forbid fragments: packets of 16 KiB arrive over a
 * path of 1500 bytes as well, in twelve parts. It takes to them, and from then on loses each that
 * one part of is lost, or that a firewall on the way wants whole. It has no option for it and
 * does not tell its sockets, so they are looked for among this process's descriptors.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import type { KoffiFunc } from 'koffi';

const DESCRIPTORS = '/proc/self/fd';

const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SOCK_DGRAM = 2;
const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IPPROTO_IPV6 = 41;
const IPV6_MTU_DISCOVER = 23;
const IPV6_DONTFRAG = 62;
/** Sets "don't fragment", and leaves it to the sender to find out what passes. */
const PMTUDISC_PROBE = 3;

interface Native {
  readonly getsockopt: KoffiFunc<
    (fd: number, level: number, name: number, value: Int32Array, lengthBytes: Int32Array) => number
  >;
  readonly setsockopt: KoffiFunc<
    (fd: number, level: number, name: number, value: Int32Array, lengthBytes: number) => number
  >;
}

/** To be called when a socket has been made, before it has a connection. */
export type KeepPacketsWhole = () => void;

let bound: Promise<Native> | undefined;
/** Sockets that have been looked at, as /proc names them. */
let known = new Set<string>();

/** Rejects where this process cannot call libc. */
export async function packetKeeper(): Promise<KeepPacketsWhole> {
  bound ??= bind();
  const native = await bound;
  return () => keepPacketsWhole(native);
}

async function bind(): Promise<Native> {
  const koffi = await import('koffi');
  const libc = koffi.load(null);
  return {
    getsockopt: libc.func(
      'int getsockopt(int fd, int level, int name, _Out_ int *value, _Inout_ int *length)',
    ),
    setsockopt: libc.func(
      'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
    ),
  };
}

function keepPacketsWhole(native: Native): void {
  const seen = new Set<string>();
  for (const [fd, socket] of openSockets()) {
    seen.add(socket);
    if (!known.has(socket) && isForDatagrams(native, fd)) forbidFragments(native, fd);
  }
  known = seen;
}

function openSockets(): [number, string][] {
  return descriptors()
    .map((name): [number, string] => [Number(name), target(name)])
    .filter(([, socket]) => socket.startsWith('socket:'));
}

/** None where there is no /proc: then packets are cut as they would be. */
function descriptors(): string[] {
  try {
    return readdirSync(DESCRIPTORS);
  } catch {
    return [];
  }
}

/** Nothing for one that another thread has closed meanwhile. */
function target(name: string): string {
  try {
    return readlinkSync(`${DESCRIPTORS}/${name}`);
  } catch {
    return '';
  }
}

function isForDatagrams({ getsockopt }: Native, fd: number): boolean {
  const type = new Int32Array(1);
  return (
    getsockopt(fd, SOL_SOCKET, SO_TYPE, type, new Int32Array([type.byteLength])) === 0 &&
    type[0] === SOCK_DGRAM
  );
}

/** What a socket's family does not know fails, and changes nothing. */
function forbidFragments({ setsockopt }: Native, fd: number): void {
  const set = (level: number, name: number, value: number) => {
    const bytes = new Int32Array([value]);
    setsockopt(fd, level, name, bytes, bytes.byteLength);
  };
  set(IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE);
  set(IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE);
  set(IPPROTO_IPV6, IPV6_DONTFRAG, 1);
}
