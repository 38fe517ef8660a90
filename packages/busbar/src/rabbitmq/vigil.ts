import { closed } from './channels.ts'
import type { RabbitContext } from './context.ts'

/**
 * Notices that this process was too busy to send heartbeats: the server may have given its messages to others, and what would
 * tell us so has not been read yet. Until the server has answered something on the connection that consumes, nothing is begun or stored.
 */
export class Vigil {
  private readonly context: RabbitContext
  /** Milliseconds. */
  private readonly most: number
  private last = performance.now()
  private asked: Promise<void> | undefined
  private readonly timer: NodeJS.Timeout

  constructor(context: RabbitContext) {
    this.context = context
    // A heartbeat may have been due when the stall began.
    this.most = context.settings.heartbeat * 500
    this.timer = setInterval(() => this.tick(), Math.max(50, this.most / 4))
  }

  /** Cheap to ask. */
  get doubtful(): boolean {
    return this.asked !== undefined || performance.now() - this.last > this.most
  }

  /** Resolves when the server has answered. Rejects where the connection is gone. */
  sure(): Promise<void> {
    this.tick()
    return this.asked ?? Promise.resolve()
  }

  end(): void {
    clearInterval(this.timer)
  }

  private tick(): void {
    const gap = performance.now() - this.last
    this.last = performance.now()
    if (gap <= this.most || this.asked !== undefined || !this.context.consuming.isUp) return
    const asked = this.answer().finally(() => {
      this.asked = undefined
    })
    asked.catch(() => {})
    this.asked = asked
  }

  private async answer(): Promise<void> {
    // That it opens is the answer.
    void closed(await this.context.consuming.channel())
  }
}
