/** What a client may do with the stores: read and write, or read only. */
export type Permission = 'rw' | 'ro';

/** What a rule is about, and what it gives. */
export interface Grant {
  readonly subject: string;
  readonly permission: Permission;
}

/**
 * Reads `SUBJECT`, `SUBJECT=ro` or `SUBJECT=rw`; without a permission it is `rw`. Only these two
 * endings count as one, as a name may have `=` in it.
 */
export function parseGrant(text: string): Grant {
  const [, subject, permission] = /^(.*)=(ro|rw)$/s.exec(text) ?? [];
  if (subject === undefined) return { subject: text, permission: 'rw' };
  return { subject, permission: permission === 'ro' ? 'ro' : 'rw' };
}

/** What is left where two rules both have a say: the lesser. */
export function lesser(one: Permission, other: Permission): Permission {
  return one === 'ro' ? one : other;
}
