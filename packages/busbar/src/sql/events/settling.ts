import type { Position } from '../../store/index.ts'
import { pauseWhileHeld } from '../backoff.ts'
import type { SqlContext } from '../context.ts'
import type { EventsDialect } from './dialect.ts'

/** Milliseconds that a reader waits for what its own process has appended. */
const PATIENCE = 5_000

/**
 * Whoever appends and then reads the whole store finds what was appended: a reader waits until nothing that is still open can
 * come before it. Mostly that is a matter of milliseconds; where a transaction stays open for long, it reads what there is.
 */
export class Settling {
  private readonly context: SqlContext
  private readonly dialect: EventsDialect
  /** Of the last event that was appended here. */
  private last: Position = ''
  private settled: Position = ''
  /** A reader has waited in vain: nobody waits again until readers have come past this. */
  private gaveUp: Position | undefined

  constructor(context: SqlContext, dialect: EventsDialect) {
    this.context = context
    this.dialect = dialect
  }

  appended(position: Position): void {
    if (position > this.last) this.last = position
  }

  get isSettled(): boolean {
    return this.dialect.held === undefined || this.last <= this.settled
  }

  async wait(): Promise<void> {
    if (this.isSettled) return
    const { last } = this
    const deadline = performance.now() + PATIENCE
    for (let looks = 0; ; looks++) {
      const [row] = await this.context.executor.all(this.dialect.end)
      const end = row?.['position'] as Position
      if (end > this.settled) this.settled = end
      if (this.gaveUp !== undefined && end > this.gaveUp) this.gaveUp = undefined
      if (end > last || this.gaveUp !== undefined) return
      if (performance.now() > deadline) {
        this.gaveUp = last
        return
      }
      await new Promise((resolve) => setTimeout(resolve, pauseWhileHeld(looks)))
    }
  }
}
