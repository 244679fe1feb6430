/** Loaded into `dst-quic connect`: a write's way from the program's socket and back to it. */
import { Transactions } from '../../../src/client/transactions.js';
import { ReplyWriter } from '../../../src/nbd/reply-writer.js';
import { Transmission } from '../../../src/nbd/transmission.js';
import { FrameDecoder } from '../../../src/protocol/decoder.js';
import { QuicEngineStream } from '../../../src/transport/quic/engine-stream.js';
import { loadChecksum } from '../../../wasm/checksums.js';
import { Marks } from './marks.js';

const marks = new Marks(import.meta.url);
const checksum = await loadChecksum('blake3');

marks.watch(Transmission.prototype, 'receive', 'client: request received');
marks.watch(Transactions.prototype, 'run', 'client: transaction run');
marks.watch(checksum, 'digest', 'client: digest begins', 'client: digest ends');
marks.watch(QuicEngineStream.prototype, 'write', 'client: stream write');
marks.watch(FrameDecoder.prototype, 'push', 'client: reply bytes');
marks.watch(Transactions.prototype, 'onReply', 'client: reply decoded');
marks.watch(ReplyWriter.prototype, 'added', 'client: reply batched');
marks.watch(ReplyWriter.prototype, 'flush', 'client: reply flush', 'client: reply flushed');
