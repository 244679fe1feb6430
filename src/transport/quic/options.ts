import { isIPv6 } from 'node:net';
import {
  QUIC_CONNECTION_WINDOW_BYTES,
  QUIC_IDLE_TIMEOUT_MS,
  QUIC_STREAM_WINDOW_BYTES,
  QUIC_STREAMS_MAX,
  QUIC_UDP_PAYLOAD_BYTES_IPV4,
  QUIC_UDP_PAYLOAD_BYTES_IPV6,
  QUIC_UDP_PAYLOAD_BYTES_LOOPBACK,
} from '../../limits.js';
import { ALPN } from '../../protocol/kinds.js';

/**
 * What both ends ask of the engine. `portable` is its poll driver: as fast as io_uring at
 * depth, with the better latency of a single command, and the one that seccomp allows.
 */
export function engineOptions(address: string) {
  return {
    alpn: [ALPN],
    runtimeMode: 'portable' as const,
    maxIdleTimeoutMs: QUIC_IDLE_TIMEOUT_MS,
    initialMaxData: QUIC_CONNECTION_WINDOW_BYTES,
    initialMaxStreamDataBidiLocal: QUIC_STREAM_WINDOW_BYTES,
    initialMaxStreamsBidi: QUIC_STREAMS_MAX,
    maxUdpPayloadSize: udpPayloadBytes(address),
  };
}

function udpPayloadBytes(address: string): number {
  if (isLoopback(address)) return QUIC_UDP_PAYLOAD_BYTES_LOOPBACK;
  return isIPv6(address) ? QUIC_UDP_PAYLOAD_BYTES_IPV6 : QUIC_UDP_PAYLOAD_BYTES_IPV4;
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}
