/**
 * The kinds of frames, as their first header element (docs/PROTOCOL.md, "Kinds").
 * Requests travel from the client to the export, replies the other way; the control kinds
 * travel on the control stream in both directions.
 */
export const KIND = {
  hello: 0x01,
  welcome: 0x02,
  refused: 0x03,
  ping: 0x04,
  pong: 0x05,
  notice: 0x06,
  leave: 0x07,
  challenge: 0x08,
  proof: 0x09,

  read: 0x10,
  write: 0x11,
  flush: 0x12,
  trim: 0x13,
  writeZeroes: 0x14,
  blockStatus: 0x15,
  cache: 0x16,
  hash: 0x17,

  done: 0x20,
  data: 0x21,
  extents: 0x22,
  failed: 0x23,
} as const;

export type Kind = (typeof KIND)[keyof typeof KIND];

/** Flags of a request (docs/PROTOCOL.md, "Flags"); a bit that is not listed is refused. */
export const FLAG = {
  fua: 0x01,
  noHole: 0x02,
  fastZero: 0x04,
} as const;

/** Which flags each request may carry. */
export const FLAGS_ALLOWED: Readonly<Record<number, number>> = {
  [KIND.read]: 0,
  [KIND.write]: FLAG.fua,
  [KIND.flush]: 0,
  [KIND.trim]: FLAG.fua,
  [KIND.writeZeroes]: FLAG.fua | FLAG.noHole | FLAG.fastZero,
  [KIND.blockStatus]: 0,
  [KIND.cache]: 0,
  [KIND.hash]: 0,
};

/** The ALPN identifier of version 1, and the version number in HELLO. */
export const ALPN = 'dst/1';
export const PROTOCOL_VERSION = 1;
