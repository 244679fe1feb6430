import { type Frame, isControl, isRequest } from '../../src/protocol/frame.js';
import type { LooseFrame } from './mutate.js';

/** A valid frame in the form that mutations take. */
export function loosely(frame: Frame): LooseFrame {
  if (isControl(frame)) {
    const bare = Object.keys(frame.body).length === 0;
    return {
      header: [frame.kind, frame.sequence, 0, 0],
      body: bare ? undefined : { ...frame.body },
    };
  }
  const body = frame.payload.length === 0 ? undefined : Buffer.concat(frame.payload as Buffer[]);
  if (!isRequest(frame)) {
    return { header: [frame.kind, frame.transaction, frame.errno, 0, frame.checksum], body };
  }
  const { kind, transaction, flags, retired, offset, lengthBytes, checksum } = frame;
  return { header: [kind, transaction, flags, 0, retired, offset, lengthBytes, checksum], body };
}
