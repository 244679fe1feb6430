import { FrameDecoder, type PayloadRule } from '../../src/protocol/decoder.js';
import { type Frame, isControl } from '../../src/protocol/frame.js';

/** The frames that a decoder makes of pieces of a stream; throws what it throws. */
export function decodePieces(pieces: readonly Buffer[], rule: PayloadRule = () => {}): Frame[] {
  const frames: Frame[] = [];
  const decoder = new FrameDecoder(rule, (frame) => frames.push(frame));
  for (const piece of pieces) decoder.push(piece);
  return frames;
}

/** The same frame with its payload in one buffer, so that two can be compared. */
export function joined(frame: Frame): Frame {
  return isControl(frame)
    ? frame
    : { ...frame, payload: [Buffer.concat(frame.payload as Buffer[])] };
}
