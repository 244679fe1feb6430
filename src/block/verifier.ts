import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** Tests set this variable, to reboot without rebooting. */
const BOOT_ID_VARIABLE = 'DST_QUIC_BOOT_ID';
const BOOT_ID_PATH = '/proc/sys/kernel/random/boot_id';

const VERIFIER_BYTES = 16;

/**
 * The verifier of a store whose volatile cache is the kernel's page cache: it outlives this
 * process, and is gone when the machine reboots or the store is another one.
 *
 * `identity` names the store among all that this machine has had since it booted.
 */
export async function localVerifier(identity: string): Promise<Buffer> {
  const hash = createHash('sha256');
  hash.update(`dst-quic verifier\0${await bootId()}\0${identity}`);
  return hash.digest().subarray(0, VERIFIER_BYTES);
}

async function bootId(): Promise<string> {
  const override = process.env[BOOT_ID_VARIABLE];
  if (override !== undefined && override !== '') return override;
  try {
    return (await readFile(BOOT_ID_PATH, 'utf8')).trim();
  } catch {
    // Where the boot can't be told, each process is taken for a new one: that replays
    // writes needlessly, and loses none.
    return randomUUID();
  }
}
