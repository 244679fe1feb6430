import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

const NAME = 'dst-quic';

/**
 * Where a client keeps what spares it time and can be lost: what systemd gives it as
 * CacheDirectory= (systemd.exec(5)), or as the XDG Base Directory Specification has it. It need
 * not exist yet; undefined for a user whom the system does not know.
 */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const { CACHE_DIRECTORY: given = '', XDG_CACHE_HOME: userCache = '' } = environment;
  const [first = ''] = given.split(':');
  if (first !== '') return first;
  // The specification has relative ones ignored.
  if (isAbsolute(userCache)) return join(userCache, NAME);
  try {
    return join(homedir(), '.cache', NAME);
  } catch {
    return undefined;
  }
}
