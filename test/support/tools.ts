import { spawnSync } from 'node:child_process';
import { http3Available } from '../../src/transport/webtransport/dial.js';

/**
 * `skip` for a test that needs programs which may not be there: false when all are, else
 * the reason. Where CI is set a missing program is not a reason but a failure of the set-up.
 */
export function skipWithout(...programs: string[]): string | false {
  const missing = programs.filter(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
  );
  if (missing.length === 0) return false;
  if (process.env.CI) throw new Error(`CI must install: ${missing.join(', ')}`);
  return `not installed: ${missing.join(', ')}`;
}

/**
 * `skip` for a test of WebTransport over HTTP/3: false where its binary is there, else the
 * reason. It is the one thing that CI may lack: the binary's download is not to be had everywhere.
 */
export async function skipWithoutHttp3(): Promise<string | false> {
  if (await http3Available()) return false;
  return 'the HTTP/3 binary of @fails-components/webtransport is not installed';
}
