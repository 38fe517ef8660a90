import type { KafkaRecord } from '@platformatic/kafka'
import type { FetchResponse } from './apis.ts'

type FetchedPartition = FetchResponse['responses'][number]['partitions'][number]

/** One record of a log, with its bytes as they came. */
export interface LogRecord {
  readonly offset: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: KafkaRecord['headers']
}

const IS_TRANSACTIONAL = 1 << 4
const IS_CONTROL = 1 << 5

/**
 * What of a fetched partition a reader may see from an offset on, in order: no markers of transactions, and nothing of a
 * transaction that was aborted. `next`: where to read on.
 */
export function readable(partition: FetchedPartition, from: number): { records: LogRecord[]; next: number } {
  const records: LogRecord[] = []
  const aborted = new Aborted(partition.abortedTransactions ?? [])
  let next = from
  for (const batch of partition.records ?? []) {
    const first = Number(batch.firstOffset)
    next = Math.max(next, first + batch.lastOffsetDelta + 1)
    if ((batch.attributes & IS_CONTROL) !== 0) {
      aborted.ended(batch.producerId)
      continue
    }
    if ((batch.attributes & IS_TRANSACTIONAL) !== 0 && aborted.has(batch.producerId, batch.firstOffset)) continue
    for (const { offsetDelta, key, value, headers } of batch.records) {
      const offset = first + offsetDelta
      if (offset >= from) records.push({ offset, key, value, headers })
    }
  }
  return { records, next }
}

/** Which producers are in a transaction that was aborted, while a log is read. */
class Aborted {
  private readonly open: { readonly producerId: bigint; readonly firstOffset: bigint }[]

  constructor(transactions: readonly { readonly producerId: bigint; readonly firstOffset: bigint }[]) {
    this.open = transactions.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
  }

  has(producerId: bigint, offset: bigint): boolean {
    return this.open.some((one) => one.producerId === producerId && one.firstOffset <= offset)
  }

  /** A marker ends the producer's transaction that began first. */
  ended(producerId: bigint): void {
    const at = this.open.findIndex((one) => one.producerId === producerId)
    if (at >= 0) this.open.splice(at, 1)
  }
}
