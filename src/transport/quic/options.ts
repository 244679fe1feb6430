import type { X509Certificate } from 'node:crypto';
import {
  QUIC_CONNECTION_WINDOW_BYTES,
  QUIC_IDLE_TIMEOUT_MS,
  QUIC_STREAM_WINDOW_BYTES,
  QUIC_STREAMS_MAX,
} from '../../limits.js';
import { ALPN } from '../../protocol/kinds.js';

/**
 * What both ends ask of the engine. `portable` is its poll driver: as fast as io_uring at
 * depth, with the better latency of a single command, and the one that seccomp allows. The
 * size of packets is the engine's to find: up to 16 KiB on loopback, and the path's elsewhere, as
 * `whole-packets.ts` has the kernel cut none.
 */
export const ENGINE_OPTIONS = {
  alpn: [ALPN] as string[],
  runtimeMode: 'portable',
  maxIdleTimeoutMs: QUIC_IDLE_TIMEOUT_MS,
  initialMaxData: QUIC_CONNECTION_WINDOW_BYTES,
  initialMaxStreamDataBidiLocal: QUIC_STREAM_WINDOW_BYTES,
  initialMaxStreamsBidi: QUIC_STREAMS_MAX,
} as const;

/** Certificates as the engine takes authorities. */
export function toPem(certificates: readonly X509Certificate[]): string {
  return certificates.map((certificate) => certificate.toString()).join('');
}
