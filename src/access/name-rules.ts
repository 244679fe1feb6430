import { DstError } from '../errors.js';
import { type Permission, parseGrant } from './permission.js';

/** A name in clients' certificates, and what whoever has it may do. */
export interface NameRule {
  readonly name: string;
  readonly permission: Permission;
}

/** Reads `NAME[=ro|rw]`, as of `--allow-name`. Throws DST_E_ALLOW_NAME. */
export function parseNameRule(text: string): NameRule {
  const { subject: name, permission } = parseGrant(text);
  if (name !== '') return { name, permission };
  throw new DstError(
    'DST_E_ALLOW_NAME',
    `--allow-name "${text}" has no name: give one that the client's certificate has`,
  );
}

/** What the first rule gives whose name is among these, to the letter; undefined where none is. */
export function permissionByName(
  rules: readonly NameRule[],
  names: readonly string[],
): Permission | undefined {
  return rules.find(({ name }) => names.includes(name))?.permission;
}
