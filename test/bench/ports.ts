import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Process } from './processes.js';

/** As /proc/net/tcp has it of a socket that listens. */
const LISTEN_STATE = '0A';

/** One that nobody had a moment ago, for programs that do not tell which port they were given. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** Tells of a process whether it, or another on the same host, listens at this TCP port. */
export function listensAt(port: number): (process: Process) => boolean {
  return ({ pid }) => {
    const tables = ['tcp', 'tcp6'].map((name) => readFileSync(`/proc/${pid}/net/${name}`, 'utf8'));
    return tables.some((table) => hasListener(table, port));
  };
}

/** Whether a table as /proc/net/tcp has a socket that listens at this port. */
export function hasListener(table: string, port: number): boolean {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .some((fields) => fields[1]?.endsWith(local) === true && fields[3] === LISTEN_STATE);
}
