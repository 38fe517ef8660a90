import type { Delivery, Failure } from '../broker/index.ts'
import type { Clock } from './clock.ts'
import type { Logger } from './logger.ts'
import type { DeadLetterHook } from './options.ts'

/** At most one alert per group, type and error in this many milliseconds. */
const INTERVAL = 1_000

/** Tells the hook of dead letters, without payloads, and not more often than a person can read. Its failures are only logged. */
export class Alerts {
  private readonly hook: DeadLetterHook | undefined
  private readonly clock: Clock
  private readonly logger: Logger
  private readonly told = new Map<string, { at: number; suppressed: number }>()

  constructor(hook: DeadLetterHook | undefined, clock: Clock, logger: Logger) {
    this.hook = hook
    this.clock = clock
    this.logger = logger
  }

  tell(group: string, delivery: Delivery, failure: Failure): void {
    if (this.hook === undefined) return
    const { type, id } = delivery.message
    const alike = JSON.stringify([group, type, failure.error.name])
    const now = this.clock.now()
    const last = this.told.get(alike)
    if (last !== undefined && now - last.at < INTERVAL) {
      last.suppressed++
      return
    }
    if (this.told.size >= 1_000) this.told.clear()
    this.told.set(alike, { at: now, suppressed: 0 })
    const { handler, reason, attempts } = failure
    const error = { name: failure.error.name, message: failure.error.message }
    const alert = { group, handler, messageId: id, type, reason, error, attempts, suppressed: last?.suppressed ?? 0 }
    Promise.resolve()
      .then(() => this.hook?.(alert))
      .catch((thrown: unknown) => {
        this.logger.error(
          { group, error: String(thrown) },
          'the onDeadLetter hook threw; the dead letter is stored all the same',
        )
      })
  }
}
