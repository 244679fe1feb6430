/** Loaded into `dst-quic export`: a write's way from its stream to the storage and back. */
import { LocalDevice } from '../../../src/block/local-device.js';
import { FrameDecoder } from '../../../src/protocol/decoder.js';
import { QuicEngineStream } from '../../../src/transport/quic/engine-stream.js';
import { loadChecksum } from '../../../wasm/checksums.js';
import { Marks } from './marks.js';

const marks = new Marks(import.meta.url);
const checksum = await loadChecksum('blake3');

marks.watch(FrameDecoder.prototype, 'push', 'export: request bytes');
marks.watch(checksum, 'matches', 'export: compare begins', 'export: compare ends');
marks.watch(LocalDevice.prototype, 'write', 'export: storage begins', 'export: storage ends');
marks.watch(QuicEngineStream.prototype, 'write', 'export: stream write');
