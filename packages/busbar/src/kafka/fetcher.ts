import type { ConnectionPool } from '@platformatic/kafka'
import type { FetchResponse } from './apis.ts'
import { pauseAfter, sleep } from './backoff.ts'
import { type Cluster, partial } from './cluster.ts'
import { reasonOf } from './errors.ts'
import { EARLIEST, listOffsets } from './offsets.ts'
import { type LogRecord, readable } from './records.ts'

/** A partition to be read. */
export interface Source {
  readonly topic: string
  readonly partition: number
  /** Where to read on; the fetcher moves it. */
  offset: number
  /** There is room for more. `Fetcher.wake` tells that it has become so. */
  readonly wanted: boolean
  /** Records in order, and how far the log goes just now; `offset` has been moved behind them. */
  accept(records: readonly LogRecord[], end: number): void
}

/** Milliseconds that the server waits for something new: at most, and where a partition is left out because it has no room. */
const PATIENCE = 500
const SHORT = 20
const MOST_BYTES = 8 * 1024 * 1024
const COMMITTED = 1
/** Requests for what is there, and requests that wait for what comes: those cannot be changed, so there are two. */
const CATCHING_UP = [0]
const WAITING = [1, 2]

/**
 * Reads many partitions at once. For each server there is a request for partitions that have more to read, which is answered
 * at once, and beside it are requests that wait there for something new. A partition is in one of them at most.
 */
export class Fetcher {
  private readonly cluster: Cluster
  private readonly pools: ConnectionPool[] = []
  private readonly sources = new Set<Source>()
  private readonly asked = new Set<Source>()
  private readonly busy = new Set<string>()
  private closed = false
  private planned = false
  private failures = 0
  /** How far each log went when it was last read. */
  private readonly ends = new Map<Source, number>()
  /** Answers in a row that brought nothing. */
  private silence = 0

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  add(source: Source): void {
    this.sources.add(source)
    this.wake()
  }

  remove(source: Source): void {
    this.sources.delete(source)
    this.ends.delete(source)
  }

  /** Something may be wanted. */
  wake(): void {
    if (this.planned || this.closed) return
    this.planned = true
    queueMicrotask(() => {
      this.planned = false
      this.askAll()
    })
  }

  async close(): Promise<void> {
    this.closed = true
    this.sources.clear()
    await Promise.all(this.pools.map((pool) => pool.close()))
  }

  private askAll(): void {
    if (this.closed) return
    const byLeader = new Map<number, Source[]>()
    const lost: Source[] = []
    for (const source of this.sources) {
      if (this.asked.has(source) || !source.wanted) continue
      const leader = this.cluster.leaderOf(source.topic, source.partition)
      if (leader === undefined) lost.push(source)
      else byLeader.set(leader, [...(byLeader.get(leader) ?? []), source])
    }
    if (lost.length > 0) void this.find(lost)
    for (const [leader, sources] of byLeader) {
      const behind = sources.filter((source) => source.offset < (this.ends.get(source) ?? Infinity))
      const upToDate = sources.filter((source) => !behind.includes(source))
      this.askFor(leader, CATCHING_UP, behind, 0)
      this.askFor(leader, WAITING, upToDate, this.patience)
    }
  }

  private askFor(leader: number, lanes: readonly number[], sources: readonly Source[], patience: number): void {
    const lane = lanes.find((each) => !this.busy.has(`${leader}/${each}`))
    if (lane === undefined || sources.length === 0) return
    for (const source of sources) this.asked.add(source)
    void this.fetch(leader, lane, sources, patience)
  }

  /** A partition without room will have some soon, mostly; where it does not, nobody asks in vain all the time. */
  private get patience(): number {
    for (const source of this.sources) {
      if (!source.wanted) return Math.min(PATIENCE, SHORT * 2 ** Math.min(this.silence, 10))
    }
    return PATIENCE
  }

  private poolOf(lane: number): ConnectionPool {
    return (this.pools[lane] ??= this.cluster.newPool())
  }

  private async find(sources: readonly Source[]): Promise<void> {
    for (const source of sources) this.asked.add(source)
    await this.cluster.describe([...new Set(sources.map(({ topic }) => topic))]).catch(() => {})
    if (sources.some(({ topic, partition }) => this.cluster.leaderOf(topic, partition) === undefined)) {
      await sleep(pauseAfter(++this.failures))
    }
    for (const source of sources) this.asked.delete(source)
    this.wake()
  }

  private async fetch(leader: number, lane: number, sources: readonly Source[], patience: number): Promise<void> {
    const busy = `${leader}/${lane}`
    this.busy.add(busy)
    const places = new Map(sources.map((source) => [source, source.offset]))
    try {
      const response = await this.ask(leader, lane, sources, patience)
      this.failures = 0
      this.take(response, places)
    } catch (error) {
      if (this.closed) return
      this.failures++
      for (const { topic } of sources) this.cluster.forget(topic)
      if (this.failures === 8)
        this.cluster.logger.warn({ err: reasonOf(error) }, 'nothing can be read from the server: trying again')
      await sleep(pauseAfter(this.failures))
    } finally {
      this.busy.delete(busy)
      for (const source of sources) this.asked.delete(source)
    }
    this.wake()
  }

  private ask(leader: number, lane: number, sources: readonly Source[], patience: number): Promise<FetchResponse> {
    const { fetchBytes } = this.cluster.settings
    const topics = new Map<string, { topicId: string; partitions: object[] }>()
    for (const { topic, partition, offset } of sources) {
      const topicId = this.cluster.known(topic)?.id ?? ''
      const entry = topics.get(topic) ?? { topicId, partitions: [] }
      topics.set(topic, entry)
      const place = { partition, fetchOffset: BigInt(offset), partitionMaxBytes: fetchBytes }
      entry.partitions.push({ ...place, currentLeaderEpoch: -1, lastFetchedEpoch: -1 })
    }
    const asked = [...topics.values()] as never[]
    return this.cluster
      .ask(
        leader,
        this.cluster.apis.fetch,
        [patience, 1, MOST_BYTES, COMMITTED, 0, -1, asked, [], ''],
        this.poolOf(lane),
      )
      .catch((error: unknown) => partial<FetchResponse>(error))
  }

  private take(response: FetchResponse, places: ReadonlyMap<Source, number>): void {
    if (response.errorCode !== 0) throw new this.cluster.client.ProtocolError(response.errorCode)
    const byPlace = new Map(
      [...places.keys()].map((source) => [`${this.cluster.known(source.topic)?.id}/${source.partition}`, source]),
    )
    const all = response.responses.flatMap(({ topicId, partitions }) => partitions.map((one) => ({ topicId, one })))
    const nothing = all.every(({ one }) => (one.records ?? []).length === 0)
    this.silence = nothing ? this.silence + 1 : 0
    let failed: Error | undefined
    for (const { topicId, one } of all) {
      const source = byPlace.get(`${topicId}/${one.partitionIndex}`)
      // Gone, or sent elsewhere, while the server waited.
      if (source === undefined || !this.sources.has(source) || source.offset !== places.get(source)) continue
      if (one.errorCode !== 0) {
        const error = new this.cluster.client.ProtocolError(one.errorCode)
        if ((error as { apiId?: unknown }).apiId === 'OFFSET_OUT_OF_RANGE') void this.outOfRange(source)
        else failed = error
        continue
      }
      const { records, next } = readable(one, source.offset)
      const end = Number(one.lastStableOffset)
      this.ends.set(source, end)
      // What was compacted away leaves nothing to move over.
      const moved = nothing && end > next ? end : next
      if (records.length === 0 && moved === source.offset) continue
      source.offset = moved
      source.accept(records, end)
    }
    if (failed !== undefined) throw failed
  }

  /** Retention was quicker than the reader, or the topic was made anew: what is there still is read. */
  private async outOfRange(source: Source): Promise<void> {
    const { topic, partition } = source
    const at = source.offset
    const first = (await listOffsets(this.cluster, topic, [partition], EARLIEST)).get(partition)
    if (first === undefined || source.offset !== at) return
    this.cluster.logger.warn(
      { topic, partition, offset: at, first },
      'the log does not reach to where it was to be read: reading from its beginning',
    )
    source.offset = first
    source.accept([], first)
    this.wake()
  }
}
