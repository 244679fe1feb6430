import type { Identity } from '../../trust/identity.js';
import type { ServerTrust } from '../../trust/server-trust.js';
import { dialHost, type HostDialOptions } from '../dial-host.js';
import type { Connection } from '../transport.js';
import { dialAddress } from './dial-address.js';
import { usePrivateFolder } from './private-folder.js';

export interface QuicDialOptions extends HostDialOptions {
  readonly trust: ServerTrust;
  /** What this client shows to an export that asks for a certificate. */
  readonly identity?: Identity | undefined;
}

/**
 * Connects to an export and verifies its certificate before anything of ours is sent, at the
 * addresses and within the limits that `dialHost` tells.
 *
 * Rejects with what `dialHost`, `verifyServerChain` and `describeHandshakeFailure` say.
 */
export async function dialQuic(options: QuicDialOptions): Promise<Connection> {
  usePrivateFolder();
  const { host, trust, identity } = options;
  return dialHost(options, 'UDP', (peer, limits) =>
    dialAddress({ host, peer, trust, identity, ...limits }),
  );
}
