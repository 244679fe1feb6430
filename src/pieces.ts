/** Bytes in the pieces, together. */
export function lengthOf(pieces: readonly Uint8Array[]): number {
  let lengthBytes = 0;
  for (const piece of pieces) lengthBytes += piece.length;
  return lengthBytes;
}
