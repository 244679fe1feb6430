import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

const NAME = 'dst-quic';
const SYSTEM_FOLDER = join('/var/lib', NAME);

/**
 * Where an export keeps what outlives its process: what systemd gives it as StateDirectory=
 * (systemd.exec(5)); else as the XDG Base Directory Specification has it, or for root
 * /var/lib/dst-quic. It need not exist yet.
 */
export function stateFolder(
  environment: NodeJS.ProcessEnv = process.env,
  userId = process.getuid?.(),
): string {
  const { STATE_DIRECTORY: given = '', XDG_STATE_HOME: userState = '' } = environment;
  const [first = ''] = given.split(':');
  if (first !== '') return first;
  // The specification has relative ones ignored.
  if (isAbsolute(userState)) return join(userState, NAME);
  const home = userId === 0 ? undefined : homeOrNone();
  return home === undefined ? SYSTEM_FOLDER : join(home, '.local', 'state', NAME);
}

/** Undefined for a user whom the system does not know, as in some containers. */
function homeOrNone(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}
