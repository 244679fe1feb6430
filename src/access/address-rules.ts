import { BlockList } from 'node:net';
import { DstError } from '../errors.js';
import { type Address, readAddress } from './address.js';
import { type Permission, parseGrant } from './permission.js';

/** Addresses that may connect, and what they may do. */
export interface AddressRule {
  /** As it was given. */
  readonly text: string;
  readonly permission: Permission;
  matches(address: Address): boolean;
}

const PREFIX_BITS_MAX = { ipv4: 32, ipv6: 128 } as const;

/** The bits before the IPv4 address in an IPv6 address that maps one. */
const MAPPED_PREFIX_BITS = 96;

/**
 * Reads `ADDRESS[/BITS][=ro|rw]`, as of `--allow`: an IPv4 or IPv6 network (CIDR, RFC 4632, 3.1)
 * or one address. Bits past the prefix do not count. Throws DST_E_ALLOW.
 */
export function parseAddressRule(text: string): AddressRule {
  const { subject, permission } = parseGrant(text);
  const [, host = '', bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(subject) ?? [];
  const address = host.includes('%') ? undefined : readAddress(host);
  if (address === undefined) throw notAnAddress(text, subject);
  const { family } = address;
  const prefixBits = bits === undefined ? PREFIX_BITS_MAX[family] : prefixOf(host, family, +bits);
  if (prefixBits < 0 || prefixBits > PREFIX_BITS_MAX[family]) {
    throw new DstError(
      'DST_E_ALLOW',
      `--allow ${text}: /${bits} is out of range for ${host}: give ${prefixRange(host, family)}`,
    );
  }
  const network = new BlockList();
  network.addSubnet(address.text, prefixBits, family);
  return {
    text,
    permission,
    // Of one family only: 203.0.113.9 is not in ::/0, as Node would have it.
    matches: (visitor) => visitor.family === family && network.check(visitor.text, family),
  };
}

/** The rules where none are given: who is on this machine already. */
export const LOOPBACK_RULES: readonly AddressRule[] = ['127.0.0.0/8', '::1'].map(parseAddressRule);

/** Whether an address that is listened on can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return permissionByAddress(LOOPBACK_RULES, host) !== undefined;
}

/** What the first rule that an address matches gives it; undefined where none does. */
export function permissionByAddress(
  rules: readonly AddressRule[],
  text: string,
): Permission | undefined {
  const address = readAddress(text);
  if (address === undefined) return undefined;
  return rules.find((rule) => rule.matches(address))?.permission;
}

/** A network of IPv4 addresses that is written as IPv6 is one of IPv4. */
function prefixOf(host: string, family: Address['family'], bits: number): number {
  return isMapped(host, family) ? bits - MAPPED_PREFIX_BITS : bits;
}

function prefixRange(host: string, family: Address['family']): string {
  return isMapped(host, family)
    ? `/${MAPPED_PREFIX_BITS} to /${PREFIX_BITS_MAX.ipv6}`
    : `up to /${PREFIX_BITS_MAX[family]}`;
}

function isMapped(host: string, family: Address['family']): boolean {
  return family === 'ipv4' && host.includes(':');
}

function notAnAddress(text: string, subject: string): DstError {
  const permission = /^[^=]*=(.*)$/s.exec(subject)?.[1];
  return new DstError(
    'DST_E_ALLOW',
    permission === undefined
      ? `--allow ${text}: "${subject}" is no address or network: write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32, not as a name`
      : `--allow ${text}: "${permission}" is no permission: write =ro or =rw`,
  );
}
