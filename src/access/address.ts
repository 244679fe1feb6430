import { isIP, SocketAddress } from 'node:net';

/** An address in the one notation that it is compared in. */
export interface Address {
  readonly family: 'ipv4' | 'ipv6';
  readonly text: string;
}

/** Groups of 16 bits in an IPv6 address, and those of the part that one site is given. */
const GROUPS = 8;
const SITE_GROUPS = 4;

/** IPv4 addresses that came in through an IPv6 socket (RFC 4291, 2.5.5.2). */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/;

/**
 * Reads an IPv4 or IPv6 address in any notation. One that maps IPv4 is the IPv4 address, and a
 * zone ("%eth0") does not count. Undefined for anything else, such as a name.
 */
export function readAddress(text: string): Address | undefined {
  const version = isIP(text);
  if (version === 0) return undefined;
  if (version === 4) return { family: 'ipv4', text };
  const { address } = new SocketAddress({ address: text, family: 'ipv6' });
  const mapped = MAPPED.exec(address)?.[1];
  return mapped === undefined
    ? { family: 'ipv6', text: address }
    : { family: 'ipv4', text: mapped };
}

/**
 * What one visitor has for himself: an IPv4 address, or the /64 of an IPv6 address, since every
 * site can send from any address of its /64.
 */
export function siteOf({ family, text }: Address): string {
  if (family === 'ipv4') return text;
  const [left = [], right = []] = text.split('::').map((half) => half.split(':').filter(Boolean));
  const gap = Array.from({ length: GROUPS - left.length - right.length }, () => '0');
  const groups = [...left, ...gap, ...right].slice(0, SITE_GROUPS);
  return `${groups.join(':')}::/64`;
}
