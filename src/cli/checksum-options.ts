import { Option } from 'commander';
import type { ChecksumName } from '../../wasm/checksums.js';
import { UsageError } from './exit.js';
import type { SecretOptions } from './secret-option.js';

/** Which checksums `export` and `connect` allow. */
export interface ChecksumOptions {
  readonly checksum?: string;
  readonly checksumUnkeyed?: boolean;
}

/** The options themselves; `allowedChecksums` reads their values. */
export function checksumOptions(description: string, fallback: string): Option[] {
  return [
    new Option(
      '--checksum <names>',
      `${description}: of blake3, blake2b, xxh128, crc32c, sha256, none (default: ${fallback}; with a secret blake3 and blake2b, which can be keyed by it)`,
    ),
    new Option(
      '--checksum-unkeyed',
      'with a secret, allow checksums that cannot be keyed by it too',
    ),
  ];
}

/**
 * The checksums that `--checksum A,B` lists. Without it an export allows all, and a client
 * accepts all but `none`: leaving data unchecked must be asked for, by the one whose data it is.
 * With a secret only those that can be keyed are allowed, unless `--checksum-unkeyed` is given.
 * Throws a `UsageError` for names that are not known, and for ones that cannot be keyed.
 */
export async function allowedChecksums(
  options: ChecksumOptions & SecretOptions,
  side: 'export' | 'client',
): Promise<ChecksumName[]> {
  // Loaded here: it compiles WebAssembly, which --help has no need of.
  const { CHECKSUM_NAMES, isKeyable } = await import('../../wasm/checksums.js');
  const { checksum: text, checksumUnkeyed = false, secretFile } = options;
  if (checksumUnkeyed && secretFile === undefined) {
    throw new UsageError(
      '--checksum-unkeyed goes with --secret-file: without a secret no checksum is keyed',
    );
  }
  const keyedOnly = secretFile !== undefined && !checksumUnkeyed;
  if (text === undefined) {
    return CHECKSUM_NAMES.filter(
      (name) => (side === 'export' || name !== 'none') && (!keyedOnly || isKeyable(name)),
    );
  }
  const names = await parseNames(text);
  const unkeyable = names.find((name) => !isKeyable(name));
  if (keyedOnly && unkeyable !== undefined) {
    throw new UsageError(
      `--checksum ${unkeyable} cannot be keyed by the secret: choose of ${CHECKSUM_NAMES.filter(isKeyable).join(', ')}, or give --checksum-unkeyed on both sides`,
    );
  }
  return names;
}

async function parseNames(text: string): Promise<ChecksumName[]> {
  const { CHECKSUM_NAMES, isChecksumName } = await import('../../wasm/checksums.js');
  const names = new Set<ChecksumName>();
  for (const name of text.split(',')) {
    if (!isChecksumName(name)) {
      throw new UsageError(
        `--checksum knows no "${name}": choose of ${CHECKSUM_NAMES.join(', ')}, with commas between them`,
      );
    }
    names.add(name);
  }
  return [...names];
}
