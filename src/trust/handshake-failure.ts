import { DstError, type DstErrorCode } from '../errors.js';
import { ALERT, alertOf } from './tls-alerts.js';

type Explanation = readonly [code: DstErrorCode, text: (host: string) => string];

/** What our own TLS stack found wrong with the certificate that the export showed. */
const REFUSED_BY_US = new Map<number, Explanation>([
  [
    ALERT.BAD_CERTIFICATE,
    [
      'DST_E_CERT_NAME',
      (host) =>
        `the certificate of ${host} is not for ${host}: use a name that it has, or make one with --host ${host}`,
    ],
  ],
  [
    ALERT.CERTIFICATE_EXPIRED,
    [
      'DST_E_CERT_EXPIRED',
      (host) =>
        `the certificate of ${host} is out of date: make a new one, or check this machine's clock`,
    ],
  ],
  [
    ALERT.UNKNOWN_CA,
    [
      'DST_E_CERT_AUTHORITY',
      (host) =>
        `no known authority vouches for the certificate of ${host}: give the export's own CA with --cert`,
    ],
  ],
]);

const CLIENT_CERTIFICATE_REFUSED: Explanation = [
  'DST_E_CERT_CLIENT',
  (host) =>
    `${host} refused this client's certificate: give one with --client-cert that is in date and from the export's CA for clients`,
];

const CLIENT_CERTIFICATE_MISSING: Explanation = [
  'DST_E_CERT_CLIENT',
  (host) =>
    `${host} asks for a client certificate: give one from its CA for clients with --client-cert, and its key with --client-key`,
];

/** What the export's TLS stack found wrong with us. */
const REFUSED_BY_PEER = new Map<number, Explanation>([
  // The engine's server ends a connection that lacks a certificate with no alert at all.
  [ALERT.CLOSE_NOTIFY, CLIENT_CERTIFICATE_MISSING],
  [ALERT.CERTIFICATE_REQUIRED, CLIENT_CERTIFICATE_MISSING],
  [ALERT.BAD_CERTIFICATE, CLIENT_CERTIFICATE_REFUSED],
  [ALERT.UNSUPPORTED_CERTIFICATE, CLIENT_CERTIFICATE_REFUSED],
  [ALERT.CERTIFICATE_REVOKED, CLIENT_CERTIFICATE_REFUSED],
  [ALERT.CERTIFICATE_EXPIRED, CLIENT_CERTIFICATE_REFUSED],
  [ALERT.CERTIFICATE_UNKNOWN, CLIENT_CERTIFICATE_REFUSED],
  [ALERT.UNKNOWN_CA, CLIENT_CERTIFICATE_REFUSED],
  [ALERT.ACCESS_DENIED, CLIENT_CERTIFICATE_REFUSED],
  // Signed by another key than that of the CA of the same name.
  [ALERT.DECRYPT_ERROR, CLIENT_CERTIFICATE_REFUSED],
]);

const NOT_AN_EXPORT: Explanation = [
  'DST_E_HANDSHAKE_PROTOCOL',
  (host) => `${host} answers QUIC but is no export: check the address and the port`,
];

const REFUSED_BY_EITHER = new Map<number, Explanation>([
  [ALERT.PROTOCOL_VERSION, NOT_AN_EXPORT],
  [ALERT.NO_APPLICATION_PROTOCOL, NOT_AN_EXPORT],
]);

/**
 * What a client says of a connection that ended in its handshake, from the close code that
 * the QUIC engine gives (256 + TLS alert).
 *
 * The same alert means another thing from either end: `us` where the engine itself checks
 * the export's certificate, `peer` where it does not, since an alert about a certificate is
 * then about this client's own.
 */
export function describeHandshakeFailure(
  code: number,
  host: string,
  refusedBy: 'us' | 'peer',
): DstError {
  const alert = alertOf(code);
  const refusals = refusedBy === 'us' ? REFUSED_BY_US : REFUSED_BY_PEER;
  const explanation =
    alert === undefined ? undefined : (refusals.get(alert) ?? REFUSED_BY_EITHER.get(alert));
  if (explanation !== undefined) {
    const [errorCode, text] = explanation;
    return new DstError(errorCode, text(host));
  }
  const reason = alert === undefined ? `QUIC error ${code}` : `TLS alert ${alert}`;
  return new DstError(
    'DST_E_HANDSHAKE',
    `the connection to ${host} failed in its handshake (${reason}): see the export's log`,
  );
}
