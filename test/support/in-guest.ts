/** Set for a process that runs in a guest: its one CPU is slow, and shared with a kernel. */
export const IN_GUEST_VARIABLE = 'DST_QUIC_IN_GUEST';

export const IN_GUEST = process.env[IN_GUEST_VARIABLE] === '1';
