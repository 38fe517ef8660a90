/** What the broker tells about trouble in the background, in the shape of pino. Payloads are never logged. */
export interface BrokerLogger {
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/** One JSON line each on standard error. */
export const standardErrorLogger: BrokerLogger = {
  warn: (fields, text) => line('warn', fields, text),
  error: (fields, text) => line('error', fields, text),
}

function line(level: string, fields: object, text: string): void {
  process.stderr.write(`${JSON.stringify({ level, time: Date.now(), ...fields, msg: text })}\n`)
}
