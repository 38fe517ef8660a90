import { pauseAfter } from '../broker/backoff.ts'
import { run, text } from './connection.ts'
import type { RedisContext } from './context.ts'
import type { Topic } from './topology.ts'

/** Most messages moved by one script. */
const AT_ONCE = 100
/** Milliseconds; longest sleep until the next one, so that a clock that is moved by hand is followed. */
const LONGEST_SLEEP = 50
/** Milliseconds between two looks at the server, behind the signals. */
const LOOK_EVERY = 1_000

/**
 * Moves delayed messages whose time has come to the end of the log. Any process that knows the topic may do it: each is moved
 * by one script, so never twice and never lost.
 */
export class Delayed {
  private readonly context: RedisContext
  private readonly watched = new Map<string, { readonly topic: Topic; next: number; readonly end: () => void }>()
  private timer: NodeJS.Timeout | undefined
  private looked = 0
  private failures = 0
  private moving: Promise<void> | undefined
  private stopped = false

  constructor(context: RedisContext) {
    this.context = context
  }

  /** Whether it looks after the topic. */
  watches(topic: string): boolean {
    return this.watched.has(topic)
  }

  /** Looks after the topic from now on. */
  async watch(topic: Topic): Promise<void> {
    if (this.watched.has(topic.name) || this.stopped) return
    const watched = { topic, next: 0, end: () => {} }
    this.watched.set(topic.name, watched)
    const { watcher, keys } = this.context
    watched.end = await watcher.listen(`${keys.base(topic.name)}signal`, (fields) => {
      const due = Number(fields['delayed'])
      if (!Number.isNaN(due)) this.added(topic, due)
    })
    this.schedule(0)
  }

  added(topic: Topic, dueAt: number): void {
    const watched = this.watched.get(topic.name)
    if (watched === undefined || watched.next <= dueAt) return
    watched.next = dueAt
    this.schedule(0)
  }

  async stop(): Promise<void> {
    this.stopped = true
    clearTimeout(this.timer)
    for (const { end } of this.watched.values()) end()
    await this.moving
  }

  private schedule(least: number): void {
    if (this.stopped || this.moving !== undefined) return
    clearTimeout(this.timer)
    let next = this.looked + LOOK_EVERY
    for (const watched of this.watched.values()) next = Math.min(next, watched.next)
    const pause = Math.min(LONGEST_SLEEP, Math.max(least, next - this.context.now()))
    this.timer = setTimeout(() => {
      this.moving = this.move().finally(() => {
        this.moving = undefined
        this.schedule(this.failures === 0 ? 1 : pauseAfter(this.failures))
      })
    }, pause)
    // Members and publishers keep the process alive, not this.
    this.timer.unref()
  }

  private async move(): Promise<void> {
    const now = this.context.now()
    const look = Math.abs(now - this.looked) >= LOOK_EVERY
    if (look) this.looked = now
    try {
      for (const watched of this.watched.values()) {
        if (look) watched.next = 0
        while (watched.next <= this.context.now() && !this.stopped) watched.next = await this.moveOf(watched.topic)
      }
      this.failures = 0
    } catch (error) {
      this.failures++
      if (!this.stopped) this.context.logger.warn({ err: String(error) }, 'cannot move delayed messages: trying again')
    }
  }

  private async moveOf(topic: Topic): Promise<number> {
    const { redis, keys } = this.context
    const next = text(await run(redis, 'busbarMoveDelayed', [keys.base(topic.name), this.context.now(), AT_ONCE]))
    return next === '' ? Infinity : Number(next)
  }
}
