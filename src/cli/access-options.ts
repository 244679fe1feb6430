import { Option } from 'commander';
import {
  type AddressRule,
  isLoopback,
  LOOPBACK_RULES,
  parseAddressRule,
} from '../access/address-rules.js';
import { Gate } from '../access/gate.js';
import { type NameRule, parseNameRule } from '../access/name-rules.js';
import { systemClock } from '../clock.js';
import {
  CONNECTIONS_MAX,
  CONNECTIONS_PER_MINUTE_DEFAULT,
  CONNECTIONS_PER_MINUTE_MAX,
  SESSIONS_MAX_DEFAULT,
} from '../limits.js';
import type { Log } from '../log.js';
import type { ClientDemands } from '../transport/quic/listen.js';
import type { Listener } from '../transport/transport.js';
import { loadClientTrust } from '../trust/client-trust.js';
import { parseTyped, UsageError } from './exit.js';
import { repeatable } from './options.js';

/** Who may connect to an export. */
export interface AccessOptions {
  readonly allow?: readonly AddressRule[];
  readonly clientCa?: string;
  readonly allowName?: readonly NameRule[];
  readonly maxSessions: number;
  readonly maxConnectionsPerMinute: number;
}

export function accessOptions(): Option[] {
  return [
    repeatable(
      '--allow <cidr[=ro|rw]>',
      'let clients of these addresses in, as 192.0.2.0/24 or 2001:db8::7=ro; may be given several times, the first that matches counts (default: this machine only)',
      (text) => parseTyped(() => parseAddressRule(text)),
    ),
    new Option(
      '--client-ca <file>',
      'let only clients in that have a certificate of this CA (PEM, with the root above it if it is not one); over QUIC only',
    ),
    repeatable(
      '--allow-name <name[=ro|rw]>',
      'of those, let clients in whose certificate has this name (a DNS name, email, URI or the common name); may be given several times, the first that matches counts (default: any)',
      (text) => parseTyped(() => parseNameRule(text)),
    ),
    countOption('--max-sessions <n>', 'clients at once', CONNECTIONS_MAX, SESSIONS_MAX_DEFAULT),
    countOption(
      '--max-connections-per-minute <n>',
      'connections that one address may make',
      CONNECTIONS_PER_MINUTE_MAX,
      CONNECTIONS_PER_MINUTE_DEFAULT,
    ),
  ];
}

/** What decides at the door, and what the transport asks clients for. */
export interface Door {
  readonly gate: Gate;
  readonly clients: ClientDemands | undefined;
}

/** Throws a `UsageError`, or DST_E_CERT_FILE. */
export function openDoor(options: AccessOptions, log: Log): Door {
  const { allow, clientCa, allowName } = options;
  if (allowName !== undefined && clientCa === undefined) {
    throw new UsageError('--allow-name goes with --client-ca: names are those in certificates');
  }
  const trust = clientCa === undefined ? undefined : loadClientTrust(clientCa);
  const gate = new Gate({
    addresses: allow ?? LOOPBACK_RULES,
    names: trust === undefined ? undefined : { rules: allowName ?? [] },
    connectionsPerMinute: options.maxConnectionsPerMinute,
    log,
    clock: systemClock,
  });
  const refused: ClientDemands['refused'] = (peer, why) => gate.handshakeFailed(peer, why);
  return { gate, clients: trust === undefined ? undefined : { trust, refused } };
}

/** Who is on another machine is refused unless he is allowed: said where he might be expected. */
export function warnOfLockedDoor(
  { allow }: AccessOptions,
  listeners: readonly Listener[],
  log: Log,
): void {
  if (allow !== undefined) return;
  if (listeners.every(({ address }) => isLoopback(address.address))) {
    log.info('only this machine may connect: --allow lets others in');
    return;
  }
  log.warn(
    'only this machine may connect: add --allow with the addresses of the clients, as in --allow 192.0.2.0/24',
  );
}

function countOption(flags: string, what: string, max: number, fallback: number): Option {
  const [name = flags] = flags.split(' ');
  return new Option(flags, what).default(fallback).argParser((text) => {
    const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
    if (count >= 1 && count <= max) return count;
    throw new UsageError(`${name} "${text}" will not do: give a number from 1 to ${max}`);
  });
}
