import { readFileSync } from 'node:fs';

/** The version of this program, from its package.json: two folders up once compiled. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  }
).version;

/** How each side introduces itself to the other. */
export const AGENT = `dst-quic/${VERSION}`;
