import { isatty } from 'node:tty';
import { destination, type Logger, pino, stdTimeFunctions } from 'pino';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';
export type LogFormat = 'text' | 'json';

export interface LoggerOptions {
  readonly level: LogLevel;
  /** By default text on a terminal, and JSON lines otherwise. */
  readonly format?: LogFormat | undefined;
}

const STDERR = 2;

/**
 * A logger to standard error. It writes synchronously, from this thread: what it was told
 * is out when the process exits, however it exits.
 */
export async function createLogger(options: LoggerOptions): Promise<Logger> {
  const format = options.format ?? (isatty(STDERR) ? 'text' : 'json');
  const stream = format === 'text' ? await textStream() : destination({ fd: STDERR, sync: true });
  return pino(
    {
      level: options.level,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
}

async function textStream() {
  // Loaded here, since services log JSON and need none of it.
  const { PinoPretty } = await import('pino-pretty');
  return PinoPretty({
    destination: STDERR,
    sync: true,
    colorize: isatty(STDERR) && !process.env.NO_COLOR,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
    singleLine: true,
  });
}
