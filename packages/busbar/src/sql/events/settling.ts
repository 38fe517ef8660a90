import type { Position } from '../../store/index.ts'
import { pauseWhileHeld } from '../backoff.ts'
import type { SqlContext } from '../context.ts'
import type { EventsDialect } from './dialect.ts'

/** Milliseconds that a reader of the whole store waits for what is committed and cannot be read yet. */
const PATIENCE = 5_000

/**
 * Whoever reads the whole store finds what was committed before, also a moment before: it waits until nothing that is still open
 * can come between. Mostly that is a matter of milliseconds; where a transaction stays open for long, it reads what there is.
 */
export class Settling {
  private readonly context: SqlContext
  private readonly dialect: EventsDialect
  /** A reader has waited in vain: nobody waits again until this can be read. */
  private gaveUp: Position | undefined

  constructor(context: SqlContext, dialect: EventsDialect) {
    this.context = context
    this.dialect = dialect
  }

  async wait(): Promise<void> {
    if (this.dialect.held === undefined) return
    const held = await this.ask(this.dialect.held)
    if (held === undefined) return
    const deadline = performance.now() + PATIENCE
    for (let looks = 0; ; looks++) {
      const end = await this.ask(this.dialect.end)
      if (end === undefined || end > held) return
      if (this.gaveUp !== undefined && end > this.gaveUp) this.gaveUp = undefined
      if (this.gaveUp !== undefined) return
      if (performance.now() > deadline) {
        this.gaveUp = held
        return
      }
      await new Promise((resolve) => setTimeout(resolve, pauseWhileHeld(looks)))
    }
  }

  private async ask(query: string): Promise<Position | undefined> {
    const [row] = await this.context.executor.all(query)
    return row === undefined ? undefined : (row['position'] as Position)
  }
}
