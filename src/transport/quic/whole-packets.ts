/**
 * Keeps the kernel from cutting the engine's packets into fragments, as RFC 9000, section 14, wants
 * it. The engine finds out by trying how large packets may be, and does not forbid fragments:
 * packets of 16 KiB arrive over a path of 1500 bytes as well, in twelve parts. It takes to them,
 * and from then on loses each that one part of is lost, or that a firewall on the way wants whole.
 * It has no option for it and does not tell its sockets, so all of this process's sockets for
 * datagrams are set.
 */
import { readdirSync } from 'node:fs';
import { type SocketOptions, socketOptions } from '../../socket-options.js';

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

/** To be called when a socket has been made, before it has a connection. */
export type KeepPacketsWhole = () => void;

/** Rejects where this process cannot call libc. */
export async function packetKeeper(): Promise<KeepPacketsWhole> {
  const options = await socketOptions();
  return () => {
    for (const fd of descriptors()) {
      if (options.get(fd, SOL_SOCKET, SO_TYPE) === SOCK_DGRAM) forbidFragments(options, fd);
    }
  };
}

/** None where there is no /proc: then packets are cut as they would be. */
function descriptors(): number[] {
  try {
    return readdirSync(DESCRIPTORS).map(Number);
  } catch {
    return [];
  }
}

/** What a socket's family does not know fails, and changes nothing. */
function forbidFragments(options: SocketOptions, fd: number): void {
  options.set(fd, IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE);
  options.set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE);
  options.set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
}
