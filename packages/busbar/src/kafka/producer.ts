import { BrokerError } from '../broker/index.ts'
import { Fifo } from '../broker/fifo.ts'
import { MessageTooLargeError } from '../message/errors.ts'
import type { Apis, Batches } from './apis.ts'
import { pauseAfter, sleep } from './backoff.ts'
import { encodeBatch, type ToWrite } from './batch.ts'
import { type Cluster, partial } from './cluster.ts'
import { isApi, isPassing, reasonOf } from './errors.ts'
import { type Identity, Identities } from './identities.ts'

interface Pending {
  readonly record: ToWrite
  readonly until: number
  readonly resolve: (offset: number) => void
  readonly reject: (error: Error) => void
}

/** One partition: what waits, and the batch that is on its way. A batch that is sent again is the same batch. */
interface Lane {
  readonly topic: string
  readonly partition: number
  readonly waiting: Fifo<Pending>
  batch: Pending[]
  identity: Identity | undefined
  sequence: number
  failures: number
  busy: boolean
}

/** Bytes of one batch, unless a single record is larger. */
const BATCH = 900_000
const ALL_IN_SYNC = -1
/** Tries after which a topic that is not there is taken for deleted: some seconds. */
const DELETED = 10

type Answer = Awaited<ReturnType<Apis['produce']['async']>>

/**
 * Writes records, confirmed by all replicas in sync. Order within a partition is the order of the calls: one batch of it is on
 * its way at a time, and it is numbered, so that the server knows one that comes again (idempotence).
 */
export class Producer {
  private readonly cluster: Cluster
  private readonly identities: Identities
  private readonly lanes = new Map<string, Map<number, Lane>>()
  private readonly ready = new Set<Lane>()
  private planned = false
  private open = 0
  private readonly checksum = (bytes: Buffer): number => this.cluster.client.crc32c(bytes)
  private readonly whenIdle: (() => void)[] = []

  constructor(cluster: Cluster) {
    this.cluster = cluster
    this.identities = new Identities(cluster)
  }

  /** Resolves to the record's offset when it is confirmed; -1 where it is confirmed and its offset is not known. */
  write(topic: string, partition: number, record: ToWrite): Promise<number> {
    return new Promise((resolve, reject) => {
      const lane = this.laneOf(topic, partition)
      const until = performance.now() + this.cluster.settings.publishTimeout
      lane.waiting.push({ record, until, resolve, reject })
      this.open++
      if (!lane.busy) this.ready.add(lane)
      this.plan()
    })
  }

  /** Resolves when nothing is on its way any more. */
  async idle(): Promise<void> {
    while (this.open > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve))
  }

  private laneOf(topic: string, partition: number): Lane {
    let lanes = this.lanes.get(topic)
    if (lanes === undefined) this.lanes.set(topic, (lanes = new Map()))
    let lane = lanes.get(partition)
    if (lane === undefined) {
      lane = {
        topic,
        partition,
        waiting: new Fifo(),
        batch: [],
        identity: undefined,
        sequence: 0,
        failures: 0,
        busy: false,
      }
      lanes.set(partition, lane)
    }
    return lane
  }

  /** What is written in one turn leaves together. */
  private plan(): void {
    if (this.planned || this.ready.size === 0) return
    this.planned = true
    queueMicrotask(() => {
      this.planned = false
      const lanes = [...this.ready]
      this.ready.clear()
      for (const lane of lanes) lane.busy = true
      void this.sendAll(lanes)
    })
  }

  private async sendAll(lanes: readonly Lane[]): Promise<void> {
    try {
      const identity = this.identities.current ?? (await this.identities.get())
      const unknown = lanes.filter(({ topic, partition }) => this.cluster.leaderOf(topic, partition) === undefined)
      if (unknown.length > 0) await this.cluster.describe([...new Set(unknown.map(({ topic }) => topic))])
      const byTarget = new Map<string, { leader: number | undefined; identity: Identity; lanes: Lane[] }>()
      for (const lane of lanes) {
        fill(lane)
        if (lane.identity === undefined) {
          lane.identity = identity
          lane.sequence = 0
        }
        const leader = this.cluster.leaderOf(lane.topic, lane.partition)
        const target = `${leader}/${lane.identity.producerId}/${lane.identity.producerEpoch}`
        const entry = byTarget.get(target) ?? { leader, identity: lane.identity, lanes: [] }
        byTarget.set(target, entry)
        entry.lanes.push(lane)
      }
      for (const { leader, identity: as, lanes: some } of byTarget.values()) void this.send(leader, as, some)
    } catch (error) {
      for (const lane of lanes) this.failed(fill(lane), error as Error)
    }
  }

  private async send(leader: number | undefined, identity: Identity, lanes: readonly Lane[]): Promise<void> {
    const { client, apis, settings } = this.cluster
    let answer: Answer
    try {
      const request = [ALL_IN_SYNC, settings.requestTimeout, this.encode(identity, lanes)] as const
      answer = await this.cluster
        .ask(leader, apis.produce, [...request])
        .catch((error: unknown) => partial<Answer>(error))
    } catch (error) {
      for (const lane of lanes) this.failed(lane, error as Error)
      return
    }
    const found = new Map<string, { errorCode: number; baseOffset: bigint }>()
    for (const { name, partitionResponses } of answer.responses) {
      for (const each of partitionResponses) found.set(`${name}:${each.index}`, each)
    }
    for (const lane of lanes) {
      const one = found.get(`${lane.topic}:${lane.partition}`)
      if (one === undefined) this.failed(lane, new BrokerError('the server did not tell what became of the batch'))
      else if (one.errorCode === 0) this.confirmed(lane, Number(one.baseOffset))
      else this.failed(lane, new client.ProtocolError(one.errorCode))
    }
  }

  private encode(identity: Identity, lanes: readonly Lane[]): Batches {
    const { client, settings } = this.cluster
    const { compression } = settings
    const packed = compression === 'none' ? undefined : client.compressionsAlgorithms[compression]
    const now = Date.now()
    const topics = new Map<string, { partition: number; batch: Buffer }[]>()
    for (const { topic, partition, batch, sequence } of lanes) {
      const records = batch.map(({ record }) => record)
      const bytes = encodeBatch(records, { ...identity, sequence }, now, this.checksum, packed)
      const partitions = topics.get(topic)
      if (partitions === undefined) topics.set(topic, [{ partition, batch: bytes }])
      else partitions.push({ partition, batch: bytes })
    }
    return [...topics].map(([topic, partitions]) => ({ topic, partitions }))
  }

  private confirmed(lane: Lane, offset: number): void {
    const { batch } = lane
    lane.batch = []
    lane.failures = 0
    // Numbers go around at 2^31.
    lane.sequence = (lane.sequence + batch.length) % 2 ** 31
    for (const [index, { resolve }] of batch.entries()) resolve(offset < 0 ? -1 : offset + index)
    this.next(lane, batch.length)
  }

  private failed(lane: Lane, error: Error): void {
    const name = (error as { apiId?: unknown }).apiId
    if (name === 'DUPLICATE_SEQUENCE_NUMBER') return this.confirmed(lane, -1)
    const expired = lane.batch.some(({ until }) => performance.now() > until) || this.cluster.closed
    if (!expired && Identities.isLost(error)) {
      // Its numbers mean nothing to the server any more; whether the batch was written is not known, so it may come twice.
      this.identities.renew(lane.identity)
      lane.identity = undefined
      return this.again(lane, error)
    }
    // A topic that stays away was deleted; a new one may not be known everywhere yet.
    const deleted = isApi(error, 'UNKNOWN_TOPIC_OR_PARTITION') && lane.failures >= DELETED
    if (!expired && !deleted && isPassing(error)) {
      this.cluster.forget(lane.topic)
      return this.again(lane, error)
    }
    if (name === 'MESSAGE_TOO_LARGE' && lane.batch.length > 1) return this.halve(lane)
    // The server may have written it all the same: the numbers after it would be taken for its own.
    if (expired) lane.identity = undefined
    if (expired) this.identities.renew(undefined)
    this.reject(lane, error)
  }

  private again(lane: Lane, error: Error): void {
    lane.failures++
    if (lane.failures === 8) {
      const fields = { topic: lane.topic, partition: lane.partition, err: reasonOf(error) }
      this.cluster.logger.warn(fields, 'messages cannot be written: trying again')
    }
    void sleep(pauseAfter(lane.failures)).then(() => {
      this.ready.add(lane)
      this.plan()
    })
  }

  /** One record of it may be too large alone; the server has taken none of the batch. */
  private halve(lane: Lane): void {
    const half = Math.ceil(lane.batch.length / 2)
    lane.waiting.prepend(lane.batch.splice(half))
    this.ready.add(lane)
    this.plan()
  }

  private reject(lane: Lane, error: Error): void {
    const { batch } = lane
    lane.batch = []
    lane.failures = 0
    const told = explained(lane.topic, error)
    for (const { reject } of batch) reject(told)
    this.next(lane, batch.length)
  }

  private next(lane: Lane, done: number): void {
    this.open -= done
    lane.busy = false
    if (lane.waiting.length > 0) this.ready.add(lane)
    this.plan()
    if (this.open === 0) for (const resolve of this.whenIdle.splice(0)) resolve()
  }
}

/** Takes what fits into one batch, unless there is one that has to be sent again. */
function fill(lane: Lane): Lane {
  if (lane.batch.length > 0) return lane
  let bytes = 0
  for (let next = lane.waiting.peek(); next !== undefined; next = lane.waiting.peek()) {
    bytes += next.record.size
    if (lane.batch.length > 0 && bytes > BATCH) break
    lane.batch.push(next)
    lane.waiting.shift()
  }
  return lane
}

function explained(topic: string, error: Error): Error {
  const { apiId } = error as { apiId?: unknown }
  if (apiId === 'MESSAGE_TOO_LARGE' || apiId === 'RECORD_LIST_TOO_LARGE') {
    return new MessageTooLargeError(
      `the message is larger than topic ${topic} takes: raise its 'max.message.bytes' or lower option 'maxMessageBytes'`,
    )
  }
  if (apiId === 'TOPIC_AUTHORIZATION_FAILED') {
    return new BrokerError(`this user may not write to topic ${topic}: allow it Write ('username')`, {
      cause: error,
    })
  }
  return new BrokerError(`the message was not written to topic ${topic}: ${reasonOf(error)}`, { cause: error })
}
