import type { Logger } from '../bus/index.ts'

export type LogLevel = keyof Logger

export interface LogLine {
  readonly level: LogLevel
  readonly fields: object
  readonly text: string
}

/** A logger that keeps what it is told, for a test to look at. */
export interface CollectingLogger extends Logger {
  /** In order; those of one level only, where one is named. */
  lines(level?: LogLevel): readonly LogLine[]
  clear(): void
}

/**
 * @example
 * const logger = collectingLogger()
 * await using bus = await createTestEventBus({ logger })
 * …
 * expect(logger.lines('error')).toEqual([])
 */
export function collectingLogger(): CollectingLogger {
  const kept: LogLine[] = []
  const keep =
    (level: LogLevel) =>
    (fields: object, text: string): void => {
      kept.push({ level, fields, text })
    }
  return {
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
    lines: (level) => kept.filter((line) => level === undefined || line.level === level),
    clear: () => {
      kept.length = 0
    },
  }
}
