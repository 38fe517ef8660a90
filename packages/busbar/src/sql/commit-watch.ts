import type { SqlContext } from './context.ts'

/** Milliseconds between two looks, at first and at most. */
const FIRST = 5
const LONGEST = 250
/** Milliseconds after which a transaction is no longer watched: what it publishes is found by the next look at the log. */
const PATIENCE = 60_000

interface Watched {
  readonly since: number
  /** Where the log grows with its commit: topic by topic, its partitions. */
  readonly grown: Map<number, Set<number>>
}

/**
 * Tells members that the log has grown when a transaction of somebody else's is over. Whoever commits it does not tell us, and
 * what a transaction says by NOTIFY takes a lock that all commits have to pass; so one cheap query asks for all that are open.
 * Only a hint: members look by themselves, too.
 */
export class CommitWatch {
  private readonly context: SqlContext
  private readonly watched = new Map<string, Watched>()
  private pause = FIRST
  private timer: NodeJS.Timeout | undefined
  private running: Promise<void> | undefined
  private stopped = false

  constructor(context: SqlContext) {
    this.context = context
  }

  add(number: string, grown: ReadonlyMap<number, ReadonlySet<number>>): void {
    const known = this.watched.get(number) ?? { since: performance.now(), grown: new Map() }
    for (const [topic, partitions] of grown) {
      known.grown.set(topic, new Set([...(known.grown.get(topic) ?? []), ...partitions]))
    }
    this.watched.set(number, known)
    this.pause = FIRST
    this.schedule()
  }

  async stop(): Promise<void> {
    this.stopped = true
    clearTimeout(this.timer)
    await this.running
  }

  private schedule(): void {
    if (this.timer !== undefined || this.running !== undefined || this.stopped || this.watched.size === 0) return
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.running = this.look().finally(() => {
        this.running = undefined
        this.pause = Math.min(LONGEST, this.pause * 2)
        this.schedule()
      })
    }, this.pause)
    this.timer.unref()
  }

  private async look(): Promise<void> {
    const { executor, dialect } = this.context
    try {
      for (const number of (await dialect.foreign.ended?.(executor, [...this.watched.keys()])) ?? []) {
        const ended = this.watched.get(number)
        this.watched.delete(number)
        for (const [topic, partitions] of ended?.grown ?? []) {
          for (const partition of partitions) this.context.topicGrew(topic, partition)
        }
      }
    } catch {
      // A hint that does not come: the next look at the log does without it.
    }
    for (const [number, { since }] of this.watched) {
      if (performance.now() - since > PATIENCE) this.watched.delete(number)
    }
  }
}
