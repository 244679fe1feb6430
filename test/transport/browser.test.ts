/** A web page as a client: Chromium speaks WebTransport over HTTP/3 only. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { payloadOf } from '../../src/block/payload.js';
import { ExportServer } from '../../src/export/server.js';
import { silentLog } from '../../src/log.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import type { Connection } from '../../src/transport/transport.js';
import { listenWebTransport } from '../../src/transport/webtransport/listen.js';
import { WEBTRANSPORT_PATH } from '../../src/transport/webtransport/options.js';
import { certificateSha256 } from '../../src/trust/fingerprint.js';
import { skipWithout, skipWithoutHttp3 } from '../support/tools.js';
import { soon } from '../support/wait.js';
import { type PageTransport, readFirstBytes } from './browser-page.js';
import { certificatesFor, temporaryDirectory } from './fixtures.js';

const LOOPBACK = '127.0.0.1';
const BLOCK = Buffer.alloc(4096, 'a block for a browser ');

/** An export that takes clients without checksums, with a block in it. */
async function exportOfBlock(t: TestContext): Promise<ExportServer> {
  const device = new MemoryDevice(1 << 20);
  await device.write(0, payloadOf([BLOCK]));
  const stores = [{ name: 'vol', device }];
  const server = new ExportServer({ stores, checksums: ['none'], log: silentLog });
  t.after(() => server.shutdown(1_000));
  return server;
}

/** A connection of ours as a browser would show it. */
function asPageTransport(connection: Connection): PageTransport {
  return {
    async createBidirectionalStream() {
      const stream = connection.openStream();
      return {
        readable: new ReadableStream({
          start: (controller) => stream.onData((chunk) => controller.enqueue(chunk)),
        }),
        writable: new WritableStream({
          write: (bytes) =>
            new Promise<void>((resolve) => stream.write([Buffer.from(bytes)], resolve)),
        }),
      };
    },
  };
}

test('what the page does reads a block, without the browser', async (t) => {
  const server = await exportOfBlock(t);
  const network = new MemoryNetwork();
  server.attach(network.listen());
  const connection = await network.dial();
  const bytes = await soon(
    readFirstBytes(asPageTransport(connection), 'vol', BLOCK.length),
    'the block',
  );
  assert.ok(BLOCK.equals(bytes));
  connection.close('seen');
});

function pageOf(port: number, certificateHash: Buffer): string {
  const hash = JSON.stringify([...certificateHash]);
  return `<!doctype html><script type="module">
    import { readFirstBytes } from '/page.js';
    const tell = (body) => fetch('/result', { method: 'POST', body });
    try {
      const value = new Uint8Array(${hash});
      const transport = new WebTransport('https://${LOOPBACK}:${port}${WEBTRANSPORT_PATH}', {
        serverCertificateHashes: [{ algorithm: 'sha-256', value }],
      });
      await transport.ready;
      await tell(await readFirstBytes(transport, 'vol', ${BLOCK.length}));
    } catch (error) {
      await tell(String(error));
    }
  </script>`;
}

/** Serves a page and its script on a free port; what it tells is the result. */
async function servePage(t: TestContext, page: string) {
  const script = readFileSync(new URL('./browser-page.js', import.meta.url));
  let resolve: (text: string) => void = () => {};
  const told = new Promise<string>((settle) => {
    resolve = settle;
  });
  const server = createServer(async (request, response) => {
    if (request.url === '/result') {
      resolve(await text(request));
      response.end();
    } else if (request.url === '/page.js') {
      response.setHeader('content-type', 'text/javascript').end(script);
    } else {
      response.setHeader('content-type', 'text/html').end(page);
    }
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://${LOOPBACK}:${(server.address() as AddressInfo).port}/`, told };
}

const skip = (await skipWithoutHttp3()) || skipWithout('chromium');

test('a page in Chromium attaches and reads a block', { skip }, async (t) => {
  const server = await exportOfBlock(t);
  const { identity } = await certificatesFor(t, [LOOPBACK]);
  const options = { host: LOOPBACK, port: 0, identity, log: silentLog } as const;
  const [listener] = await listenWebTransport({ ...options, protocol: 'http/3' });
  assert.ok(listener !== undefined);
  server.attach(listener);
  const hash = certificateSha256(identity.certificate);
  const { url, told } = await servePage(t, pageOf(listener.address.port, hash));
  const browser = spawn(
    'chromium',
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      `--user-data-dir=${temporaryDirectory(t)}`,
      '--remote-debugging-port=0',
      url,
    ],
    { stdio: 'ignore' },
  );
  try {
    assert.equal(await soon(told, 'the page'), BLOCK.toString());
  } finally {
    browser.kill('SIGKILL');
    await once(browser, 'close');
  }
});
