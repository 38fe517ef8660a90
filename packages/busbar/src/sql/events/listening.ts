import type { Wake } from '../../store/index.ts'
import { pauseWhileHeld } from '../backoff.ts'
import type { SqlContext } from '../context.ts'
import type { EventsDialect } from './dialect.ts'

/**
 * Wakes those who wait for events: by a call where this process appends, and when the ticker sees that others have
 * committed. While something is held back from readers it looks until it is not, because nobody tells of that.
 */
export class Listening {
  private readonly context: SqlContext
  private readonly dialect: EventsDialect
  private readonly wakes = new Set<Wake>()
  private looking = false
  private told = false

  constructor(context: SqlContext, dialect: EventsDialect) {
    this.context = context
    this.dialect = dialect
  }

  get isEmpty(): boolean {
    return this.wakes.size === 0
  }

  add(wake: Wake): () => void {
    const own = (): void => wake()
    this.wakes.add(own)
    return () => void this.wakes.delete(own)
  }

  clear(): void {
    this.wakes.clear()
  }

  /** Events came, or may have. */
  tell(): void {
    if (this.wakes.size === 0) return
    if (this.dialect.held === undefined) return this.wakeAll()
    this.told = true
    if (this.looking) return
    this.looking = true
    void this.lookWhileHeld(this.dialect.held).finally(() => (this.looking = false))
  }

  private wakeAll(): void {
    for (const wake of this.wakes) queueMicrotask(wake)
  }

  /** Whoever is woken after a look at which nothing was held reads everything that was there at the look. */
  private async lookWhileHeld(held: string): Promise<void> {
    for (let looks = 0; this.wakes.size > 0; looks++) {
      if (this.told) looks = 0
      this.told = false
      let isHeld = true
      try {
        isHeld = (await this.context.executor.all(held)).length > 0
      } catch {
        // The ticker tells of trouble; what is missed now is seen when there is a connection again.
      }
      this.wakeAll()
      if (!isHeld && !this.told) return
      if (isHeld) await new Promise((resolve) => setTimeout(resolve, pauseWhileHeld(looks)).unref())
    }
  }
}
