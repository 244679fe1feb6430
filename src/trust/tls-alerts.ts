/** A QUIC connection that TLS ends is closed with this plus TLS's alert (RFC 9001, 4.8). */
const CRYPTO_ERROR = 0x100;
const ALERT_MAX = 0xff;

/** TLS alerts (RFC 8446, 6.2) that say what to do next. */
export const ALERT = {
  CLOSE_NOTIFY: 0,
  BAD_CERTIFICATE: 42,
  UNSUPPORTED_CERTIFICATE: 43,
  CERTIFICATE_REVOKED: 44,
  CERTIFICATE_EXPIRED: 45,
  CERTIFICATE_UNKNOWN: 46,
  UNKNOWN_CA: 48,
  ACCESS_DENIED: 49,
  DECRYPT_ERROR: 51,
  PROTOCOL_VERSION: 70,
  CERTIFICATE_REQUIRED: 116,
  NO_APPLICATION_PROTOCOL: 120,
} as const;

const NAMES = new Map<number, string>(
  Object.entries(ALERT).map(([name, alert]) => [alert, name.toLowerCase().replaceAll('_', ' ')]),
);

/** The alert in a QUIC close code; undefined where TLS did not end the connection. */
export function alertOf(code: number): number | undefined {
  const alert = code - CRYPTO_ERROR;
  return alert >= 0 && alert <= ALERT_MAX ? alert : undefined;
}

/** "TLS alert 48 (unknown ca)", for a log. */
export function describeAlert(alert: number): string {
  const name = NAMES.get(alert);
  return `TLS alert ${alert}${name === undefined ? '' : ` (${name})`}`;
}
