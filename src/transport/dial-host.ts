import { DstError } from '../errors.js';
import { CONNECT_TIMEOUT_MS } from '../limits.js';
import { addressesOf, type HostAddresses } from './host-addresses.js';
import type { Connection, DialLimits, PeerAddress } from './transport.js';
import type { WaitLimits } from './wait-for.js';

export interface HostDialOptions extends DialLimits {
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** The host's addresses, where they do not come from the system's name service. */
  readonly addresses?: HostAddresses;
}

/** One attempt at one address: rejects with a `DstError`, and leaves nothing open then. */
export type AddressDial = (
  peer: PeerAddress,
  limits: Pick<WaitLimits, 'timeoutMs' | 'signal'>,
) => Promise<Connection>;

/**
 * Connects to one address of a host. The addresses of a name are asked for anew each time, and
 * tried in turn from the one that `attempt` points to; those that are left share the time that
 * is left. With `like`, the address of its peer is tried alone. `portKind` is for the error's words.
 *
 * Rejects with DST_E_RESOLVE, DST_E_REFUSED, DST_E_UNREACHABLE (no answer in time),
 * DST_E_ABORTED, or with what else an attempt rejects with.
 */
export async function dialHost(
  options: HostDialOptions,
  portKind: 'UDP' | 'TCP',
  dialAddress: AddressDial,
): Promise<Connection> {
  const { host, port, signal, timeoutMs = CONNECT_TIMEOUT_MS, attempt = 0, like } = options;
  const deadlineMs = performance.now() + timeoutMs;
  const known = options.addresses ?? addressesOf(host);
  const addresses =
    like === undefined
      ? rotate(await known.resolve({ timeoutMs, signal }), attempt)
      : [like.peer.address];
  const failures: AddressFailure[] = [];
  for (const [index, address] of addresses.entries()) {
    const shareMs = (deadlineMs - performance.now()) / (addresses.length - index);
    try {
      const connection = await dialAddress({ address, port }, { timeoutMs: shareMs, signal });
      known.connected = address;
      return connection;
    } catch (error) {
      // Another address of the same name would show the same certificate.
      if (!(error instanceof DstError) || !MAY_TRY_NEXT.has(error.code)) throw error;
      failures.push({ address, error });
    }
  }
  throw failureOf(`${portKind} port ${port}`, host, failures);
}

interface AddressFailure {
  readonly address: string;
  readonly error: DstError;
}

const MAY_TRY_NEXT = new Set<string>(['DST_E_UNREACHABLE', 'DST_E_REFUSED']);

function rotate<T>(items: readonly T[], by: number): T[] {
  const start = by % Math.max(1, items.length);
  return [...items.slice(start), ...items.slice(0, start)];
}

/** What to say when no address answered: the one reason, or the list of them. */
function failureOf(port: string, host: string, failures: readonly AddressFailure[]): DstError {
  const [first] = failures;
  if (first !== undefined && failures.length === 1) return first.error;
  const refused = failures.length > 0 && failures.every(isRefused);
  const reasons = failures.map(
    (failure) => `${failure.address} (${isRefused(failure) ? 'nothing listens' : 'no answer'})`,
  );
  return new DstError(
    refused ? 'DST_E_REFUSED' : 'DST_E_UNREACHABLE',
    `no address of ${host} answered on ${port}: ${reasons.join(', ')}; check that the export runs there and that the port is open on the way`,
    { cause: new AggregateError(failures.map(({ error }) => error)) },
  );
}

function isRefused({ error }: AddressFailure): boolean {
  return error.code === 'DST_E_REFUSED';
}
