/** A stretch of a device. */
interface Range {
  readonly offset: number;
  readonly lengthBytes: number;
}

/** Whether two stretches have a byte in common. */
export function overlap(one: Range, other: Range): boolean {
  return (
    one.offset < other.offset + other.lengthBytes && other.offset < one.offset + one.lengthBytes
  );
}
