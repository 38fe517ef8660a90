import { performance } from 'node:perf_hooks'
import { pauseAfter } from './backoff.ts'
import type { OwnedPartition, ToStore } from './partition.ts'
import type { PumpHost } from './pump-host.ts'
import { store } from './store.ts'

/** Stores the verdicts that count only once they are stored: redeliveries, dead letters, and what becomes of those. */
export class Verdicts {
  private readonly host: PumpHost

  constructor(host: PumpHost) {
    this.host = host
  }

  async storeAll(): Promise<void> {
    const now = performance.now()
    for (const partition of this.host.owned()) {
      if (partition.toStore.length === 0 || now < partition.storeAgainAt) continue
      const batch = partition.toStore
      partition.toStore = []
      if (await this.storeBatch(partition, batch)) continue
      if (batch.length === 1 || partition.lost) continue
      // One that cannot be stored must not keep the others.
      partition.toStore = partition.toStore.filter((one) => !batch.includes(one))
      for (const one of batch) if (!partition.lost) await this.storeBatch(partition, [one])
    }
  }

  private async storeBatch(partition: OwnedPartition, batch: readonly ToStore[]): Promise<boolean> {
    const { context, window } = this.host
    const expires = Date.now() + context.lease
    try {
      const stored = await context.executor.write((sql) => store(sql, context, partition, batch, expires))
      if (stored.lost) {
        this.host.lost(partition)
        return true
      }
      for (const { delivery } of batch) window.finish(partition, delivery)
      partition.storeFailures = 0
      partition.resolveStored(stored.waiters)
      for (const lane of stored.unblocked) partition.blocked.delete(lane)
      window.block(partition, stored.blocked)
      partition.nextDue = Math.min(partition.nextDue, stored.nextDue)
      // One that ran alone and was given back runs alone again: looked up with the next fetch.
      if (batch.some(({ delivery }) => delivery.suspect)) partition.nextSuspect = 0
      return true
    } catch (error) {
      partition.dirty = true
      partition.toStore.push(...batch)
      const pause = pauseAfter(++partition.storeFailures)
      partition.storeAgainAt = performance.now() + pause
      this.host.again(pause)
      const fields = { group: partition.group, topic: partition.topic.name, messages: batch.length, err: String(error) }
      context.logger.error(fields, 'cannot store redeliveries or dead letters: they stay unsettled and are tried again')
      return false
    }
  }
}
