import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, describe, test } from 'node:test';
import { connectQuic, createQuicServer } from '@currentspace/http3';
import fc from 'fast-check';
import { DstError } from '../../src/errors.js';
import { parseSessionTicketChain } from '../../src/trust/session-ticket.js';
import {
  certificatePem,
  keyPem,
  type Made,
  makeAuthority,
  makeServer,
} from './certificate-maker.js';

const DEADLINE_MS = 30_000;
const ALPN = 'dst-test/1';

/** What the engine hands out for a server that shows this chain, unchecked by the engine. */
async function ticketOf(chain: [Made, ...Made[]]): Promise<Buffer> {
  const [leaf] = chain;
  const server = createQuicServer({
    key: keyPem(leaf),
    cert: certificatePem(...chain),
    alpn: [ALPN],
    disableRetry: false,
  });
  server.on('session', (session) => session.on('error', () => {}));
  try {
    const { port } = await server.listen(0, '127.0.0.1');
    const session = connectQuic(
      { address: '127.0.0.1', port, servername: 'nobody.example' },
      { alpn: [ALPN], rejectUnauthorized: false, connectTimeoutMs: DEADLINE_MS },
    );
    session.on('error', () => {});
    try {
      const signal = AbortSignal.timeout(DEADLINE_MS);
      const [ticket] = (await once(session, 'sessionTicket', { signal })) as [Buffer];
      return Buffer.from(ticket);
    } finally {
      await session.close();
    }
  } finally {
    await server.close();
  }
}

function isTicketError(error: unknown): boolean {
  return error instanceof DstError && error.code === 'DST_E_ENGINE_TICKET';
}

function refused(ticket: Buffer): void {
  assert.throws(() => parseSessionTicketChain(ticket), isTicketError);
}

function shown(...chain: Made[]): Buffer[] {
  return chain.map(({ certificate }) => certificate.raw);
}

describe("certificates from the QUIC engine's session ticket", () => {
  let authority: Made;
  let leaf: Made;
  let short: Buffer;
  let long: Buffer;

  before(async () => {
    const year = { notBefore: new Date(Date.now() - 1e9), notAfter: new Date(Date.now() + 1e9) };
    authority = await makeAuthority(year);
    leaf = await makeServer(authority, year);
    short = await ticketOf([leaf]);
    long = await ticketOf([leaf, authority]);
  });

  test('a leaf alone', () => {
    assert.deepEqual(
      parseSessionTicketChain(short).map(({ raw }) => raw),
      shown(leaf),
    );
  });

  test('a leaf and its authority, in order', () => {
    assert.deepEqual(
      parseSessionTicketChain(long).map(({ raw }) => raw),
      shown(leaf, authority),
    );
  });

  test('a ticket cut short anywhere is refused', () => {
    for (let length = 0; length < long.length; length += 1) refused(long.subarray(0, length));
  });

  test('a byte too many is refused', () => {
    refused(Buffer.concat([long, Buffer.of(0)]));
  });

  test('an overlong ticket is refused', () => {
    refused(Buffer.alloc(300 * 1024));
  });

  test('another structure version and another TLS version are refused', () => {
    // 8 bytes length, 4 bytes SEQUENCE header, INTEGER 1, INTEGER 0x0304.
    for (const offset of [14, 18]) {
      const changed = Buffer.from(long);
      changed.writeUInt8((changed[offset] ?? 0) + 1, offset);
      refused(changed);
    }
  });

  test('a session without a certificate is refused', () => {
    const fields = fieldsOf(long);
    refused(ticketFrom(fields.filter((field) => field[0] !== 0xa3)));
  });

  test('a second peer certificate, before or after the first, is refused', () => {
    const fields = fieldsOf(long);
    const index = fields.findIndex((field) => field[0] === 0xa3);
    const peer = fields[index];
    assert(peer);
    refused(ticketFrom(fields.toSpliced(index, 0, peer)));
    refused(ticketFrom([...fields, peer]));
  });

  test('the rebuilt ticket without a change is accepted', () => {
    assert.equal(parseSessionTicketChain(ticketFrom(fieldsOf(long))).length, 2);
  });

  test('a ticket with changed bytes gives certificates or a coded error', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(long.length - 1), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 4,
        }),
        (changes) => {
          const ticket = Buffer.from(long);
          for (const [offset, value] of changes) ticket[offset] = value;
          try {
            assert.equal(parseSessionTicketChain(ticket).length >= 1, true);
          } catch (error) {
            assert(isTicketError(error), String(error));
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('garbage is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => refused(Buffer.from(bytes))),
    );
  });

  test('garbage within well-formed lengths is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) =>
        refused(Buffer.concat([prefixed(Buffer.from(bytes)), prefixed(Buffer.alloc(0))])),
      ),
    );
  });
});

/** The session's fields with their headers, cut without the code under test. */
function fieldsOf(ticket: Buffer): Buffer[] {
  const end = 8 + Number(ticket.readBigUInt64BE(0));
  const fields: Buffer[] = [];
  for (let offset = 12; offset < end; ) {
    const short = ticket.readUInt8(offset + 1);
    const octets = short < 0x80 ? 0 : short & 0x7f;
    const length = octets === 0 ? short : ticket.readUIntBE(offset + 2, octets);
    fields.push(ticket.subarray(offset, offset + 2 + octets + length));
    offset += 2 + octets + length;
  }
  return fields;
}

/** A ticket around these fields, which must come to between 256 and 65535 bytes. */
function ticketFrom(fields: readonly Buffer[]): Buffer {
  const content = Buffer.concat(fields);
  const header = Buffer.of(0x30, 0x82, content.length >> 8, content.length & 0xff);
  return Buffer.concat([prefixed(Buffer.concat([header, content])), prefixed(Buffer.alloc(0))]);
}

function prefixed(part: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(part.length));
  return Buffer.concat([length, part]);
}
