/** Logger: events named `room.noun.verb` with flat fields, one JSON line each; secrets print as "[secret]". */
import { pino, type DestinationStream } from 'pino';

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface Logger {
  debug: (event: string, fields?: LogFields) => void;
  /** An operator wants to see it. */
  info: (event: string, fields?: LogFields) => void;
  /** Someone should look. */
  warn: (event: string, fields?: LogFields) => void;
  /** Money or data is at risk. */
  error: (event: string, fields?: LogFields) => void;
}

export function createLogger(options: { level: LogLevel; destination?: DestinationStream }): Logger {
  const log = pino(
    { level: options.level, base: null, messageKey: 'event', timestamp: pino.stdTimeFunctions.isoTime },
    options.destination ?? pino.destination({ dest: 2, sync: false }),
  );
  return {
    debug: (event, fields) => log.debug(fields ?? {}, event),
    info: (event, fields) => log.info(fields ?? {}, event),
    warn: (event, fields) => log.warn(fields ?? {}, event),
    error: (event, fields) => log.error(fields ?? {}, event),
  };
}

const nothing = () => undefined;
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/**
 * Kind of a failure for a log line: class and code only. Messages of libraries may carry URLs, headers or bodies,
 * so they never reach a log.
 */
export function errorKind(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' || typeof code === 'number' ? `${error.name}:${code}` : error.name;
}
