import type { SqlContext } from './context.ts'
import type { Delayed } from './delayed.ts'

/** A member, as far as the ticker needs to know it. */
export interface Ticked {
  tick(changedElsewhere: boolean): void
  /** Unix milliseconds. */
  nextDue(): number
  /** Events were appended in this process. */
  storeGrew?(): void
}

/** Milliseconds between two looks while other processes write. */
const BUSY = 5
/** How many looks without a change until it counts as quiet. */
const CALM_AFTER = 20

/**
 * Looks at the database at short intervals, while there are members: has another process committed something, has the
 * time of a delayed message come? What this process does itself wakes its members at once, without the ticker.
 */
export class Ticker {
  private readonly context: SqlContext
  private readonly delayed: Delayed
  private readonly interval: number
  private members: ReadonlySet<Ticked> = new Set()
  private timer: NodeJS.Timeout | undefined
  private calm = 0
  private running: Promise<void> | undefined
  private failing = false
  private stopped = false
  /** Another process said that there is something. */
  private hinted = false

  constructor(context: SqlContext, delayed: Delayed, interval: number) {
    this.context = context
    this.delayed = delayed
    this.interval = interval
    context.executor.onHint?.(() => this.lookNow())
  }

  setMembers(members: ReadonlySet<Ticked>): void {
    this.members = members
    if (members.size > 0 && this.timer === undefined && this.running === undefined && !this.stopped) {
      // Messages may have been delayed while nobody looked.
      this.delayed.next = 0
      this.schedule()
    }
  }

  async stop(): Promise<void> {
    this.stopped = true
    clearTimeout(this.timer)
    await this.running
  }

  private schedule(): void {
    this.timer = undefined
    if (this.stopped || this.members.size === 0) return
    let pause = this.calm < CALM_AFTER ? Math.min(BUSY, this.interval) : this.interval
    let due = this.delayed.next
    for (const member of this.members) due = Math.min(due, member.nextDue())
    // A clock other than the system's may say anything: it is asked again at every look.
    const left = due - this.context.now()
    if (left > 0) pause = Math.max(1, Math.min(pause, left))
    this.timer = setTimeout(() => this.begin(), pause)
    this.timer.unref()
  }

  private begin(): void {
    this.timer = undefined
    this.hinted = false
    this.running = this.look().finally(() => {
      this.running = undefined
      if (this.hinted && !this.stopped && this.members.size > 0) this.begin()
      else this.schedule()
    })
  }

  private lookNow(): void {
    this.hinted = true
    if (this.timer === undefined) return
    clearTimeout(this.timer)
    this.begin()
  }

  private async look(): Promise<void> {
    try {
      const changed = await this.context.executor.changedElsewhere()
      this.calm = changed ? 0 : this.calm + 1
      if (changed) await this.delayed.refresh()
      await this.delayed.move()
      for (const member of this.members) member.tick(changed)
      this.failing = false
    } catch (error) {
      if (!this.failing) this.context.logger.error({ err: String(error) }, 'cannot look at the database; trying again')
      this.failing = true
      this.calm = CALM_AFTER
    }
  }
}
