import { Option } from 'commander';
import { formatSize, parseSize } from '../block/size.js';
import type { SessionOptions } from '../client/session-options.js';
import {
  MAX_OUTAGE_MS_MAX,
  MAX_OUTAGE_MS_MIN,
  PING_INTERVAL_MS,
  PING_INTERVAL_MS_MAX,
  PING_INTERVAL_MS_MIN,
  REPLAY_BUFFER_BYTES,
  REPLAY_BUFFER_BYTES_MAX,
  REPLAY_BUFFER_BYTES_MIN,
  RESEND_TIMEOUT_MS,
  RESEND_TIMEOUT_MS_MAX,
  RESEND_TIMEOUT_MS_MIN,
  RESENDS_COUNT_MAX,
  RESENDS_MAX,
} from '../limits.js';
import { formatDuration } from './duration.js';
import { parseTyped, UsageError } from './exit.js';
import { durationOption } from './options.js';

/** How `connect` behaves when the export is away, or somebody else's. Times in milliseconds. */
export interface OutageOptions {
  readonly resendTimeout: number;
  /** Infinity for "inf". */
  readonly maxResends: number;
  readonly replayBuffer: number;
  readonly pingInterval: number;
  readonly maxOutage?: number;
  readonly wait?: boolean;
  readonly takeover?: boolean;
}

export function outageOptions(): Option[] {
  return [
    durationOption('--resend-timeout <time>', 'send a command again when unanswered for so long', {
      minMs: RESEND_TIMEOUT_MS_MIN,
      maxMs: RESEND_TIMEOUT_MS_MAX,
    }).default(RESEND_TIMEOUT_MS, formatDuration(RESEND_TIMEOUT_MS)),
    new Option('--max-resends <n|inf>', 'fail a command (EIO) that was sent again so often')
      .argParser(parseMaxResends)
      .default(RESENDS_MAX),
    new Option(
      '--replay-buffer <size>',
      'memory for writes that are not flushed yet, to repeat them if the machine of the export goes down; 0 turns it off',
    )
      .argParser(parseReplayBuffer)
      .default(REPLAY_BUFFER_BYTES, formatSize(REPLAY_BUFFER_BYTES)),
    durationOption('--ping-interval <time>', 'ask an idle export so often whether it is there', {
      minMs: PING_INTERVAL_MS_MIN,
      maxMs: PING_INTERVAL_MS_MAX,
    }).default(PING_INTERVAL_MS, formatDuration(PING_INTERVAL_MS)),
    durationOption(
      '--max-outage <time>',
      'give up, with EIO for every command, when the export is away for longer (default: never)',
      { minMs: MAX_OUTAGE_MS_MIN, maxMs: MAX_OUTAGE_MS_MAX },
    ),
    new Option(
      '--wait',
      'at the start, wait until the export can be reached and no other client writes to it',
    ),
    new Option(
      '--takeover',
      'take the export from the client that writes to it, whose commands fail from then on',
    ).conflicts('readOnly'),
  ];
}

/** The part of a session's options that comes from the command line. */
export function outageSettings(
  options: OutageOptions,
): Pick<
  SessionOptions,
  | 'resendTimeoutMs'
  | 'maxResends'
  | 'replayBufferBytes'
  | 'pingIntervalMs'
  | 'maxOutageMs'
  | 'takeover'
> {
  return {
    resendTimeoutMs: options.resendTimeout,
    maxResends: options.maxResends,
    replayBufferBytes: options.replayBuffer,
    pingIntervalMs: options.pingInterval,
    maxOutageMs: options.maxOutage ?? Number.POSITIVE_INFINITY,
    takeover: options.takeover ?? false,
  };
}

function parseMaxResends(text: string): number {
  if (text === 'inf') return Number.POSITIVE_INFINITY;
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= RESENDS_COUNT_MAX) return count;
  throw new UsageError(
    `--max-resends "${text}" will not do: give a number from 1 to ${RESENDS_COUNT_MAX}, or inf`,
  );
}

function parseReplayBuffer(text: string): number {
  const sizeBytes = parseTyped(() => parseSize(text));
  const inRange = sizeBytes >= REPLAY_BUFFER_BYTES_MIN && sizeBytes <= REPLAY_BUFFER_BYTES_MAX;
  if (sizeBytes === 0 || inRange) return sizeBytes;
  throw new UsageError(
    `--replay-buffer ${text} will not do: give from ${formatSize(REPLAY_BUFFER_BYTES_MIN)} to ${formatSize(REPLAY_BUFFER_BYTES_MAX)}, or 0 for none`,
    'DST_E_SIZE',
  );
}
