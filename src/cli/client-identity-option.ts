import { Option } from 'commander';
import { type Identity, loadClientIdentity } from '../trust/identity.js';
import { UsageError } from './exit.js';

/** What a client shows to an export that asks for a certificate. */
export interface ClientIdentityOptions {
  readonly clientCert?: string;
  readonly clientKey?: string;
}

export function clientIdentityOptions(): Option[] {
  return [
    new Option(
      '--client-cert <file>',
      "this client's own certificate (PEM), for an export that asks for one",
    ),
    new Option('--client-key <file>', 'its private key (PEM)'),
  ];
}

/**
 * The identity that the options name; undefined where they name none. Throws a `UsageError`
 * where one of the two is missing, or what `loadClientIdentity` says.
 */
export function clientIdentity(options: ClientIdentityOptions): Identity | undefined {
  const { clientCert: certificatePath, clientKey: keyPath } = options;
  if (certificatePath === undefined && keyPath === undefined) return undefined;
  if (certificatePath !== undefined && keyPath !== undefined) {
    return loadClientIdentity({ certificatePath, keyPath });
  }
  throw new UsageError('--client-cert and --client-key go together: give both');
}
