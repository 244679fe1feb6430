import { X509Certificate } from 'node:crypto';
import { DstError } from '../errors.js';
import { CERTIFICATE_CHAIN_LENGTH_MAX, SESSION_TICKET_BYTES_MAX } from '../limits.js';
import {
  contextTag,
  DER_TAG,
  type DerElement,
  expectTag,
  onlyElement,
  readConstructed,
  readElements,
  readSmallInteger,
} from './der.js';

const LENGTH_PREFIX_BYTES = 8;
const SESSION_STRUCTURE_VERSION = 1;
const TLS_1_3 = 0x0304;

/** BoringSSL's ssl/ssl_asn1.cc, `SSLSession`: version to secret come before the tags. */
const UNTAGGED_FIELDS = [
  DER_TAG.INTEGER,
  DER_TAG.INTEGER,
  DER_TAG.OCTET_STRING,
  DER_TAG.OCTET_STRING,
  DER_TAG.OCTET_STRING,
] as const;
const PEER_TAG = contextTag(3);
const CERTIFICATE_CHAIN_TAG = contextTag(19);

/**
 * The certificates that the server showed, leaf first, from what the QUIC engine hands out
 * as its `sessionTicket`.
 *
 * The engine tells a client nothing of the server's certificate, and its own check knows
 * neither IP addresses nor a pinned leaf. But the ticket is quiche's serialized session:
 *
 *     8 bytes length | SSL_SESSION in DER | 8 bytes length | transport parameters
 *
 * and the local TLS stack writes it only after the server proved that it holds the leaf's
 * key (CertificateVerify), whether or not it checked the chain. That holds for a full
 * handshake only: a resumed one repeats the certificates of the session it resumed, so a
 * connection whose server is judged by this must not be given a ticket to resume.
 *
 * Whatever is not exactly as expected is a `DST_E_ENGINE_TICKET`. The ticket holds the
 * session's secret: neither it nor a part of it may be logged.
 */
export function parseSessionTicketChain(ticket: Buffer): X509Certificate[] {
  try {
    return certificatesOf(sessionOf(ticket)).map(parseCertificate);
  } catch (error) {
    if (!(error instanceof DstError)) throw error;
    throw new DstError(
      'DST_E_ENGINE_TICKET',
      `the server's certificate cannot be read from the QUIC session (${error.message}): use the QUIC engine's version that this program was made for`,
      { cause: error },
    );
  }
}

function sessionOf(ticket: Buffer): Buffer {
  if (ticket.length > SESSION_TICKET_BYTES_MAX) throw unexpected('it is too long');
  const session = readPrefixed(ticket, 0);
  const parametersOffset = LENGTH_PREFIX_BYTES + session.length;
  const parameters = readPrefixed(ticket, parametersOffset);
  if (parametersOffset + LENGTH_PREFIX_BYTES + parameters.length !== ticket.length) {
    throw unexpected('bytes are left over at its end');
  }
  return session;
}

function readPrefixed(ticket: Buffer, offset: number): Buffer {
  const start = offset + LENGTH_PREFIX_BYTES;
  if (start > ticket.length) throw unexpected('it ends within a length');
  const lengthBytes = ticket.readBigUInt64BE(offset);
  if (lengthBytes > BigInt(ticket.length - start)) throw unexpected('it ends within a part');
  return ticket.subarray(start, start + Number(lengthBytes));
}

function certificatesOf(session: Buffer): DerElement[] {
  const fields = readConstructed(session, DER_TAG.SEQUENCE);
  UNTAGGED_FIELDS.forEach((tag, index) => {
    expectTag(fields[index], tag);
  });
  if (readSmallInteger(fields[0]) !== SESSION_STRUCTURE_VERSION) {
    throw unexpected('its structure has another version');
  }
  if (readSmallInteger(fields[1]) !== TLS_1_3) throw unexpected('it is not of TLS 1.3');
  const tagged = fields.slice(UNTAGGED_FIELDS.length);
  requireAscendingTags(tagged);

  const peer = tagged.find(({ tag }) => tag === PEER_TAG);
  if (peer === undefined) throw unexpected('it has no certificate');
  // Unlike the peer's, this tag stands in place of the SEQUENCE's own.
  const rest = tagged.find(({ tag }) => tag === CERTIFICATE_CHAIN_TAG);
  const certificates = [
    onlyElement(peer.content, DER_TAG.SEQUENCE),
    ...(rest === undefined ? [] : readElements(rest.content)),
  ];
  if (certificates.length > CERTIFICATE_CHAIN_LENGTH_MAX) {
    throw unexpected(`it has more than ${CERTIFICATE_CHAIN_LENGTH_MAX} certificates`);
  }
  return certificates;
}

/** Ascending tags leave no room for a second peer certificate beside the first. */
function requireAscendingTags(fields: readonly DerElement[]): void {
  let last = contextTag(0);
  for (const { tag, content } of fields) {
    if (tag <= last) throw unexpected('its fields are out of order');
    readElements(content);
    last = tag;
  }
}

function parseCertificate(element: DerElement): X509Certificate {
  const { encoded } = expectTag(element, DER_TAG.SEQUENCE);
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(encoded);
  } catch {
    throw unexpected('a certificate in it is malformed');
  }
  if (!certificate.raw.equals(encoded)) throw unexpected('a certificate in it is not in DER');
  return certificate;
}

function unexpected(what: string): DstError {
  return new DstError('DST_E_ENGINE_TICKET', what);
}
