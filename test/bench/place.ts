/** Where the two ends run. */

export interface Place {
  /** The address that servers listen at. */
  readonly serverHost: string;
  /** Where clients come from, for who asks for that. */
  readonly clientNetwork: string;
  /** The words that run a program at either end. */
  onServer(words: readonly string[]): readonly string[];
  onClient(words: readonly string[]): readonly string[];
}

/** Of the server where the ends are two hosts. */
export const REMOTE_HOST = '10.78.0.1';

const LOOPBACK_HOST = '127.0.0.1';

export const SERVER_HOSTS = [LOOPBACK_HOST, REMOTE_HOST] as const;

/** Both on this machine, joined by loopback, whose packets have up to 64 KiB. */
export const LOOPBACK: Place = {
  serverHost: LOOPBACK_HOST,
  clientNetwork: `${LOOPBACK_HOST}/32`,
  onServer: (words) => words,
  onClient: (words) => words,
};
