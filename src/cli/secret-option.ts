import { Option } from 'commander';
import type { Secret } from '../access/secret.js';

export interface SecretOptions {
  readonly secretFile?: string;
}

/** The same words on both sides, as both are given the same file. */
export function secretOption(): Option {
  return new Option(
    '--secret-file <file>',
    'a file with a secret that export and clients share: each proves to hold it, and checksums are keyed by it',
  );
}

/** The secret that was asked for, as `loadSecret` reads it; undefined where none was. */
export async function readSecret({ secretFile }: SecretOptions): Promise<Secret | undefined> {
  if (secretFile === undefined) return undefined;
  const { loadSecret } = await import('../access/secret.js');
  return loadSecret(secretFile);
}
