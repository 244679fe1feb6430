/** What a 4 KiB command costs where nothing but this thread is concerned. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { FrameDecoder } from '../../../src/protocol/decoder.js';
import { encodeReply, encodeRequest } from '../../../src/protocol/encode.js';
import { NO_PIECES } from '../../../src/protocol/frame.js';
import { KIND } from '../../../src/protocol/kinds.js';
import { ALGORITHMS } from '../../../wasm/algorithms.js';
import { loadChecksum } from '../../../wasm/checksums.js';
import { type Cost, time } from './timing.js';

const BLOCK_BYTES = 4096;

/** Many blocks, so that they do not all lie in the nearest cache. */
const BLOCKS = 1024;

const DIGEST = randomBytes(32);

export async function computingCosts(): Promise<Cost[]> {
  return [copy(), encryption(), ...(await hashes()), ...frames()];
}

function copy(): Cost {
  const source = randomBytes(BLOCKS * BLOCK_BYTES);
  const target = Buffer.alloc(BLOCK_BYTES);
  let at = 0;
  return time('a copy of 4 KiB', () => {
    source.copy(target, 0, at, at + BLOCK_BYTES);
    at = (at + BLOCK_BYTES) % source.length;
  });
}

/** In bulk: as if a packet cost nothing but its bytes. */
function encryption(): Cost {
  const bulk = randomBytes(64 * BLOCK_BYTES);
  const cipher = createCipheriv('aes-128-gcm', randomBytes(16), randomBytes(12));
  const { what, bestUs } = time('AES-128-GCM of 4 KiB', () => cipher.update(bulk));
  return { what, bestUs: bestUs / 64 };
}

async function hashes(): Promise<Cost[]> {
  const blocks = Array.from({ length: 64 }, () => [randomBytes(BLOCK_BYTES)]);
  const costs: Cost[] = [];
  for (const { name } of ALGORITHMS) {
    if (name === 'none') continue;
    const checksum = await loadChecksum(name);
    let at = 0;
    costs.push(time(`${name} of 4 KiB`, () => checksum.digest(blocks[at++ % 64] ?? [])));
  }
  return [...costs, await largeHash()];
}

/** What the default checksum takes of a large payload, which native code may compute. */
async function largeHash(): Promise<Cost> {
  const checksum = await loadChecksum('blake3');
  const pieces = [randomBytes(32 * BLOCK_BYTES)];
  return time('blake3 of 128 KiB', () => checksum.digest(pieces));
}

function frames(): Cost[] {
  const request = {
    kind: KIND.write,
    transaction: 1_000_000,
    flags: 0,
    retired: 999_968,
    offset: 123_456 * BLOCK_BYTES,
    lengthBytes: BLOCK_BYTES,
    checksum: DIGEST,
    payload: [randomBytes(BLOCK_BYTES)],
  } as const;
  const encoded = Buffer.concat(encodeRequest(request));
  const reply = Buffer.concat(encodeReply(KIND.done, 1_000_000));
  const decoder = new FrameDecoder(
    () => {},
    () => {},
  );
  return [
    time('a request header, encoded', () => encodeRequest({ ...request, payload: NO_PIECES })),
    time('a request, decoded', () => decoder.push(encoded)),
    time('a reply, encoded', () => encodeReply(KIND.done, 1_000_000)),
    time('a reply, decoded', () => decoder.push(reply)),
  ];
}
