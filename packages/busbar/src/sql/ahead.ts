import { HandedOut } from './delivery.ts'
import type { Values } from './executor.ts'
import type { OwnedPartition } from './partition.ts'
import { messageAt } from './rows.ts'

/** What was read of the log of one partition before there was room for it, in order. Nobody has it. */
export class Ahead {
  private readonly partition: OwnedPartition
  private rows: Values[] = []
  private deliveries: HandedOut[] = []

  constructor(partition: OwnedPartition) {
    this.partition = partition
  }

  get length(): number {
    return this.deliveries.length + this.rows.length
  }

  keep(rows: readonly Values[]): void {
    this.rows.push(...rows)
  }

  /** Makes deliveries of the first `count`, as far as they are not. Best done while the database is at work. */
  prepare(count: number): void {
    const { partition } = this
    for (const row of this.rows.splice(0, count - this.deliveries.length)) {
      this.deliveries.push(deliveryOf(partition, row))
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

/** What has never been handed out, of a row that begins with its position. */
export function deliveryOf(partition: OwnedPartition, row: Values): HandedOut {
  const [position = null] = row
  return new HandedOut(partition, messageAt(row, 1), partition.topic.name, { position })
}
