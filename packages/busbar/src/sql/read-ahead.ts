import { performance } from 'node:perf_hooks'
import type { Next } from './batched.ts'
import type { OwnedPartition } from './partition.ts'
import type { PumpHost } from './pump-host.ts'

/** Partitions read at once. */
const PARTITIONS = 2

/** Windows read at once, and that are in memory when the next read begins: what is handed out then waits for none. */
const WINDOWS = 4
/** Rows read at once, at most. */
const MOST = 1_000

/** Bytes of bodies read at once, about; and in memory when the next read begins, at most. */
const BYTES = 1024 * 1024
const MOST_BYTES = 4 * BYTES

/**
 * Reads the log before there is room for what comes next. What is read is in memory and nothing more: it is handed out only
 * once the cursor names it, so for that a small statement is enough, and nothing else is changed by a crash. Only for quick
 * handlers, which are done with it in a moment.
 */
export class ReadAhead {
  private readonly host: PumpHost
  private readonly onHeld: (held: readonly OwnedPartition[]) => void
  private rotation = 0
  /** A read is under way. */
  busy = false

  /** @param onHeld Is told of partitions with messages that cannot be read yet. */
  constructor(host: PumpHost, onHeld: (held: readonly OwnedPartition[]) => void) {
    this.host = host
    this.onHeld = onHeld
  }

  /** Reads on, unless that is under way or enough is there. */
  begin(): void {
    const { context, window } = this.host
    const { readAhead: least } = context.dialect
    if (least === undefined || this.busy) return
    const rows = Math.max(least, Math.min(MOST, WINDOWS * window.prefetch))
    const owned = this.host.owned()
    const there = owned.reduce((sum, { ahead }) => sum + ahead.length, 0)
    if (there > rows || owned.reduce((sum, { ahead }) => sum + ahead.bytes, 0) > MOST_BYTES) return
    const now = performance.now()
    const readable = owned.filter((one) => mayBeRead(one, now))
    if (readable.length === 0) return
    const first = this.rotation % readable.length
    const few = [...readable.slice(first), ...readable.slice(0, first)].slice(0, PARTITIONS)
    this.rotation = first + few.length
    this.busy = true
    void this.read(few, Math.ceil(rows / few.length)).finally(() => {
      this.busy = false
      this.host.again(0)
    })
  }

  private async read(partitions: readonly OwnedPartition[], limit: number): Promise<void> {
    const { executor, dialect } = this.host.context
    const wanted = partitions.map(({ topic, partition, readTo: position }) => ({
      topic: topic.id,
      partition,
      position,
      limit,
    }))
    for (const partition of partitions) {
      partition.reading = true
      // Lowered before the read: what is published from here on raises it again.
      partition.more = false
    }
    let found: readonly Next[] = []
    try {
      found = await dialect.readNext(executor, wanted, () => false, BYTES)
    } catch {
      // Whoever reads next without this meets the same trouble, and tells.
      for (const partition of partitions) partition.more = true
    }
    const held: OwnedPartition[] = []
    for (const [index, partition] of partitions.entries()) {
      partition.reading = false
      const next = found[index]
      if (next === undefined) continue
      partition.more ||= next.more
      if (next.held) held.push(partition)
      // It may have been read from another place meanwhile.
      if (partition.readTo === wanted[index]?.position) partition.keepAhead(next.rows)
      else partition.more = true
    }
    this.onHeld(held)
  }
}

function mayBeRead(partition: OwnedPartition, now: number): boolean {
  const { more, draining, lost, uncertain, backlog, readAgainAt } = partition
  return more && !draining && !lost && !uncertain && backlog.length === 0 && now >= readAgainAt
}
