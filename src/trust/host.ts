import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';

/** What a certificate can name: a DNS name or an address. */
export interface Host {
  readonly kind: 'dns' | 'ip';
  /** Lower case, ASCII, no dot at its end; IPv6 in its shortest form. */
  readonly value: string;
}

const DNS_NAME_CHARACTERS_MAX = 253;
const DNS_LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
/** Of ASCII; what is beyond it is for the IDNA rules to judge. */
const NOT_IN_A_NAME = /[\0-,/:-@[-^`{-\x7f]/;
const DIGITS = /^[0-9]+$/;
const MAPPED_IPV4 = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;

/**
 * A host as a user or an address gives it, in the one form that certificates are made and
 * checked with; undefined where it is neither a DNS name nor an address. An IPv6 zone
 * (`%eth0`) has a meaning on one machine only and is left out, and an IPv4 address in an
 * IPv6 one is the IPv4 address.
 */
export function parseHost(text: string): Host | undefined {
  const [address = ''] = text.split('%');
  if (isIP(text) !== 0) return { kind: 'ip', value: normaliseAddress(address) };
  // It would silently cut a URL's other parts off.
  if (NOT_IN_A_NAME.test(text)) return undefined;
  const name = domainToASCII(text.endsWith('.') ? text.slice(0, -1) : text);
  return isDnsName(name) ? { kind: 'dns', value: name } : undefined;
}

/** A name whose last label is a number would be taken for an address by some resolvers. */
function isDnsName(name: string): boolean {
  const labels = name.split('.');
  return (
    name.length <= DNS_NAME_CHARACTERS_MAX &&
    labels.every((label) => DNS_LABEL.test(label)) &&
    !DIGITS.test(labels.at(-1) ?? '')
  );
}

function normaliseAddress(address: string): string {
  if (isIP(address) === 4) return address;
  const shortest = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const mapped = MAPPED_IPV4.exec(shortest);
  if (mapped === null) return shortest;
  const bits = [mapped[1], mapped[2]].map((group) => Number.parseInt(group ?? '', 16));
  return bits.flatMap((pair) => [pair >> 8, pair & 0xff]).join('.');
}
