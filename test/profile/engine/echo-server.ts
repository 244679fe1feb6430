/**
 * As a program: the QUIC engine with nothing but our transport on it. Answers each request of
 * REQUEST_BYTES with REPLY_BYTES on its stream; those that came together, together.
 *
 *   node echo-server.js FOLDER REQUEST_BYTES REPLY_BYTES     FOLDER has the certificates
 */
import { join } from 'node:path';
import { silentLog } from '../../../src/log.js';
import { listenQuic } from '../../../src/transport/quic/listen.js';
import { loadServerIdentity } from '../../../src/trust/identity.js';

const [folder = '', requestBytes, replyBytes] = process.argv.slice(2);
const identity = loadServerIdentity({
  certificatePath: join(folder, 'certs/server.pem'),
  keyPath: join(folder, 'certs/server-key.pem'),
});
const [listener] = await listenQuic({ host: '127.0.0.1', port: 0, identity, log: silentLog });
listener?.onConnection((connection) => {
  connection.onStream((stream) => {
    let bytes = 0;
    stream.onData((chunk) => {
      bytes += chunk.length;
      const whole = Math.floor(bytes / Number(requestBytes));
      bytes -= whole * Number(requestBytes);
      if (whole > 0) stream.write([Buffer.alloc(whole * Number(replyBytes))]);
    });
  });
});
console.log(`ready ${listener?.address.port}`);
