import { isIPv6 } from 'node:net';
import { DstError } from '../errors.js';

/**
 * Why an address cannot be listened on: DST_E_ADDRESS_IN_USE, DST_E_ADDRESS_UNAVAILABLE,
 * DST_E_PERMISSION or DST_E_LISTEN.
 */
export function listenError(
  kind: 'UDP' | 'TCP',
  host: string,
  port: number,
  cause: unknown,
): DstError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const where = isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
  switch (code) {
    case 'EADDRINUSE':
      return new DstError(
        'DST_E_ADDRESS_IN_USE',
        `${kind} ${where} is in use by another process: stop it, or choose another port with --listen`,
        { cause },
      );
    case 'EADDRNOTAVAIL':
      return new DstError(
        'DST_E_ADDRESS_UNAVAILABLE',
        `${host} is not an address of this machine: see \`ip address\` for those that are`,
        { cause },
      );
    case 'EACCES':
      return new DstError(
        'DST_E_PERMISSION',
        `${kind} ${where} needs privileges: ports below 1024 are root's`,
        { cause },
      );
    default:
      return new DstError('DST_E_LISTEN', `cannot listen on ${kind} ${where}: ${message}`, {
        cause,
      });
  }
}
