import { pauseAfter, sleep } from './backoff.ts'
import { encode } from './cursor.ts'
import { isApi, reasonOf } from './errors.ts'
import type { KafkaContext } from './context.ts'
import type { ToCommit } from './offsets.ts'
import type { OwnedPartition } from './partition.ts'
import type { Snapshot } from './snapshot.ts'
import type { Window } from './window.ts'

/** Milliseconds after which what has settled is committed, where nobody waits for it. */
const SOON = 5
/** Bytes of metadata: what `offset.metadata.max.bytes` is where nobody has changed it. */
const METADATA = 4_096

/** Stores places: throws where they were not stored. */
type Store = (places: readonly ToCommit[]) => Promise<void>

/** The commits of one member: one at a time, each for all partitions of which something is to be told. */
export class Commits {
  private readonly context: KafkaContext
  private readonly group: string
  private readonly store: Store
  private readonly window: Window
  private readonly enough: number
  private readonly waiting = new Set<OwnedPartition>()
  private settled = 0
  private limit = METADATA
  private running: Promise<void> | undefined
  private timer: NodeJS.Timeout | undefined

  constructor(context: KafkaContext, group: string, window: Window, store: Store) {
    this.context = context
    this.group = group
    this.store = store
    this.window = window
    // Half of a large window, so that the other half is handed out meanwhile.
    this.enough = Math.max(64, Math.floor(window.prefetch / 2))
  }

  request(partition: OwnedPartition, now: boolean): void {
    this.waiting.add(partition)
    if (this.running !== undefined) return
    if (now || this.window.full || ++this.settled >= this.enough) this.go()
    else this.timer ??= setTimeout(() => this.go(), SOON)
  }

  /** Resolves when nothing is left to be committed. */
  async idle(): Promise<void> {
    while (this.running !== undefined || this.waiting.size > 0) {
      this.go()
      await this.running
    }
  }

  private go(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.settled = 0
    if (this.running !== undefined) return
    this.running = this.run().finally(() => {
      this.running = undefined
      if (this.waiting.size > 0) this.timer ??= setTimeout(() => this.go(), 0)
    })
  }

  private async run(): Promise<void> {
    for (let failures = 0; this.waiting.size > 0;) {
      const partitions = [...this.waiting].filter(({ lost }) => !lost)
      this.waiting.clear()
      if (partitions.length === 0) return
      const snapshots = partitions.map((partition) => [partition, partition.snapshot()] as const)
      try {
        await this.store(snapshots.map(([partition, snapshot]) => this.placeOf(partition, snapshot)))
        failures = 0
        for (const [partition, snapshot] of snapshots) partition.committed(snapshot)
      } catch (error) {
        for (const [partition, snapshot] of snapshots) {
          partition.notCommitted(snapshot)
          if (!partition.lost) this.waiting.add(partition)
        }
        await this.afterFailure(error, ++failures)
      }
    }
  }

  private async afterFailure(error: unknown, failures: number): Promise<void> {
    if (isApi(error, 'OFFSET_METADATA_TOO_LARGE') && this.limit > 32) {
      this.limit = Math.floor(this.limit / 2)
      const fields = { group: this.group, limit: this.limit }
      this.context.logger.warn(
        fields,
        `the server's 'offset.metadata.max.bytes' is small: more messages come again after a crash`,
      )
      return
    }
    if (failures === 12) {
      this.context.logger.warn(
        { group: this.group, err: reasonOf(error) },
        'the place of the group cannot be stored: trying again',
      )
    }
    await sleep(pauseAfter(failures))
  }

  private placeOf({ topic, partition }: OwnedPartition, { place }: Snapshot): ToCommit {
    return { topic: topic.log, partition, offset: place.offset, metadata: encode(place, this.limit) }
  }
}
