import type { Settings } from 'node:http2';
import {
  HTTP2_CONNECTION_MEMORY_MB,
  HTTP2_WINDOW_BYTES,
  WEBTRANSPORT_CONNECTION_WINDOW_BYTES,
  WEBTRANSPORT_STREAM_WINDOW_BYTES,
  WEBTRANSPORT_STREAMS_MAX,
} from '../../limits.js';

/** Where an export takes WebTransport connections; elsewhere there is nothing. */
export const WEBTRANSPORT_PATH = '/dst';

/** ALPN of HTTP/2. */
export const HTTP2_ALPN = 'h2';

/**
 * What both ends ask of the library. The windows start at their limits, as ours are not to
 * limit anything: so the library's tuning of them has nothing to do.
 */
export const ENGINE_WINDOWS = {
  initialStreamFlowControlWindow: WEBTRANSPORT_STREAM_WINDOW_BYTES,
  streamFlowControlWindowSizeLimit: WEBTRANSPORT_STREAM_WINDOW_BYTES,
  initialSessionFlowControlWindow: WEBTRANSPORT_CONNECTION_WINDOW_BYTES,
  sessionFlowControlWindowSizeLimit: WEBTRANSPORT_CONNECTION_WINDOW_BYTES,
  initialBidirectionalStreams: WEBTRANSPORT_STREAMS_MAX,
  initialBidirectionalSendStreams: WEBTRANSPORT_STREAMS_MAX,
  initialUnidirectionalStreams: 1,
  initialUnidirectionalSendStreams: 1,
} as const;

/** The same as HTTP/2 settings (draft-ietf-webtrans-http2, "HTTP/2 SETTINGS"). */
const INITIAL_WINDOWS = {
  11105: WEBTRANSPORT_CONNECTION_WINDOW_BYTES,
  11106: WEBTRANSPORT_STREAM_WINDOW_BYTES,
  11107: WEBTRANSPORT_STREAM_WINDOW_BYTES,
  11108: 1,
  11109: WEBTRANSPORT_STREAMS_MAX,
} as const;

/** What Node's types (20) do not know of its settings. */
type SettingsWithCustom = Settings & { customSettings: Record<number, number> };

/** What both ends tell Node's HTTP/2. One request a connection is all that there is. */
export const HTTP2_OPTIONS = {
  settings: {
    enableConnectProtocol: true,
    enablePush: false,
    maxConcurrentStreams: 1,
    initialWindowSize: HTTP2_WINDOW_BYTES,
    customSettings: INITIAL_WINDOWS,
  } satisfies SettingsWithCustom as Settings,
  remoteCustomSettings: Object.keys(INITIAL_WINDOWS).map(Number),
  maxSessionMemory: HTTP2_CONNECTION_MEMORY_MB,
};
