import { type DeliveryOwner, HandedOut } from './delivery.ts'
import type { Values } from './executor.ts'
import { bodySize, messageAt } from './rows.ts'

/** What was read of the log of one partition before there was room for it, in order. Nobody has it. */
export class Ahead {
  private readonly owner: DeliveryOwner
  private readonly topic: string
  private rows: Values[] = []
  private deliveries: HandedOut[] = []

  constructor(owner: DeliveryOwner, topic: string) {
    this.owner = owner
    this.topic = topic
  }

  get length(): number {
    return this.deliveries.length + this.rows.length
  }

  /** Of the bodies, about. */
  get bytes(): number {
    let bytes = 0
    for (const row of this.rows) bytes += bodySize(row, 1)
    for (const { message } of this.deliveries) bytes += (message.body as string | Uint8Array).length
    return bytes
  }

  /** Rows that begin with their position. */
  keep(rows: readonly Values[]): void {
    this.rows.push(...rows)
  }

  /** Makes deliveries of the first `count`, as far as they are not. Best done while the database is at work. */
  prepare(count: number): void {
    for (const row of this.rows.splice(0, Math.max(0, count - this.deliveries.length))) {
      const [position = null] = row
      this.deliveries.push(new HandedOut(this.owner, messageAt(row, 1), this.topic, { position }))
    }
  }

  take(count: number): HandedOut[] {
    this.prepare(count)
    return this.deliveries.splice(0, count)
  }

  clear(): void {
    this.rows = []
    this.deliveries = []
  }
}
