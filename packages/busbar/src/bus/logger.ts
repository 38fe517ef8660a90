/** A logger in the shape of pino: fields first, then the text. Payloads are never logged. */
export interface Logger {
  debug(fields: object, text: string): void
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/** Says nothing. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
}

/** The default: warnings and errors as one JSON line each on standard error, as pino would write them. */
export const stderrLogger: Logger = {
  debug() {},
  info() {},
  warn: (fields, text) => line('warn', fields, text),
  error: (fields, text) => line('error', fields, text),
}

/** The same logger, but what it throws goes nowhere: a message has to be settled also where that cannot be logged. */
export function unfailing(logger: Logger): Logger {
  const tell = (level: keyof Logger) => (fields: object, text: string) => {
    try {
      logger[level](fields, text)
    } catch {
      // There is nobody left to tell.
    }
  }
  return { debug: tell('debug'), info: tell('info'), warn: tell('warn'), error: tell('error') }
}

function line(level: string, fields: object, text: string): void {
  process.stderr.write(`${JSON.stringify({ level, time: Date.now(), ...fields, msg: text })}\n`)
}
