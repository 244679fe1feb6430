import { createSocket } from 'node:dgram';
import { closeSync, openSync, readSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { ROUTES_READ_BYTES_MAX } from '../limits.js';
import type { PeerAddress } from './transport.js';

/**
 * How this machine's kernel would reach a peer now: the address that it would send from, and
 * the default routes. Undefined where it has no way. Two that are equal are the same way, as
 * far as this machine can tell. Sends nothing.
 */
export async function lookAtOwnPath(peer: PeerAddress): Promise<string | undefined> {
  const source = await sourceAddress(peer);
  if (source === undefined) return undefined;
  return [source, ...defaultRoutes(isIPv6(peer.address) ? 6 : 4)].join('; ');
}

/** A fresh socket each time: one that is connected keeps its address when that is gone. */
function sourceAddress(peer: PeerAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(peer.address) ? 'udp6' : 'udp4');
    socket.unref();
    const answer = (address: string | undefined) => {
      socket.close();
      resolve(address);
    };
    // The types know nothing of the error that a connect which fails passes.
    const onConnect = (error?: Error) =>
      answer(error === undefined ? socket.address().address : undefined);
    socket.once('error', onConnect);
    socket.connect(peer.port, peer.address, onConnect);
  });
}

function defaultRoutes(family: 4 | 6): string[] {
  return family === 4
    ? parseDefaultRoutes4(readRoutes('/proc/net/route'))
    : parseDefaultRoutes6(readRoutes('/proc/net/ipv6_route'));
}

/** Of the kernel's table of IPv4 routes (proc_net(5)): device, gateway and metric. */
export function parseDefaultRoutes4(table: string): string[] {
  const routes: string[] = [];
  for (const line of table.split('\n').slice(1)) {
    const [device, destination, gateway, , , , metric, mask] = line.split('\t');
    if (destination === '00000000' && mask === '00000000') {
      routes.push(`${device} ${gateway} ${metric}`);
    }
  }
  return routes.sort();
}

/** Of the kernel's table of IPv6 routes: device, gateway and metric. */
export function parseDefaultRoutes6(table: string): string[] {
  const routes: string[] = [];
  for (const line of table.split('\n')) {
    const [destination, prefix, , , gateway, metric, , , , device] = line.split(/ +/);
    // Each namespace has one that rejects everything, on its loopback device.
    if (
      destination === UNSPECIFIED_6 &&
      prefix === '00' &&
      device !== undefined &&
      device !== 'lo'
    ) {
      routes.push(`${device} ${gateway} ${metric}`);
    }
  }
  return routes.sort();
}

const UNSPECIFIED_6 = '0'.repeat(32);

/** The table's beginning; nothing where the kernel has none, as without IPv6. */
function readRoutes(path: string): string {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch {
    return '';
  }
  try {
    const lengthBytes = readSync(descriptor, buffer, 0, buffer.length, 0);
    return buffer.toString('latin1', 0, lengthBytes);
  } finally {
    closeSync(descriptor);
  }
}

const buffer = Buffer.alloc(ROUTES_READ_BYTES_MAX);
