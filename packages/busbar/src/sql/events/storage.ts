import { type Broker, BrokerError, UnsupportedError } from '../../broker/index.ts'
import {
  type Append,
  type Appended,
  type AppendOptions,
  checkAppends,
  checkName,
  type DeleteStreamOptions,
  type EventStorage,
  type ReadAllOptions,
  type ReadStreamOptions,
  type StorageCapabilities,
  type StoredEvent,
  type StoreHead,
  type StreamInfo,
  type Wake,
} from '../../store/index.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import { type SharedLog, SqlBroker } from '../broker.ts'
import type { SqlContext } from '../context.ts'
import type { Topic } from '../topics.ts'
import { appendIn } from './append.ts'
import { SqlCheckpoints } from './checkpoints.ts'
import type { EventsDialect } from './dialect.ts'
import { appendAlone, disentangled, Grouping, persistently } from './grouping.ts'
import { Listening } from './listening.ts'
import type { Prepared, Written } from './prepared.ts'
import { Reading } from './reading.ts'
import { assertEventStorable } from './rows.ts'
import { Settling } from './settling.ts'
import { deleteIn, infosOf, told, truncateIn } from './streams.ts'
import { countOn, headOf } from './tally.ts'
import { assertOutside, insideOf } from './inside.ts'
import { OwnTransaction, within } from './transactions.ts'

/** Events that are truncated in one transaction: short, so that writers do not wait. */
const TRUNCATED_AT_ONCE = 1_000

/**
 * Events in the log of an SQL broker: an event is a message with a place in a stream, so what is appended is published to the
 * groups on the same database by the same commit.
 */
export class SqlEventStorage implements EventStorage {
  readonly name: string
  readonly capabilities: StorageCapabilities
  readonly checkpoints: SqlCheckpoints

  private readonly broker: SqlBroker
  /** The broker is nobody else's. */
  private readonly isOwn: boolean
  private readonly log: SharedLog
  private readonly context: SqlContext
  private readonly dialect: EventsDialect
  private readonly grouping: Grouping
  private readonly settling: Settling
  private readonly reading: Reading
  private readonly listening: Listening
  private unfollow: (() => void) | undefined
  private stopped = false

  constructor(broker: SqlBroker, dialect: EventsDialect, isOwn: boolean) {
    const { name, capabilities, log } = broker
    this.name = name
    this.capabilities = {
      inProcess: false,
      durable: capabilities.durable,
      multiProcess: capabilities.multiProcess,
      transactions: true,
      maxEventBytes: capabilities.maxMessageBytes,
    }
    this.broker = broker
    this.isOwn = isOwn
    this.log = log
    this.context = log.context
    this.dialect = dialect
    this.checkpoints = new SqlCheckpoints(log.context, dialect, log.where)
    this.grouping = new Grouping(log.context, dialect)
    this.settling = new Settling(log.context, dialect)
    this.reading = new Reading(log.context, dialect, this.settling, () => this.assertRunning())
    this.listening = new Listening(log.context, dialect)
  }

  async start(): Promise<void> {
    if (this.stopped) throw this.wasStopped()
    await this.broker.start()
  }

  async append(appends: readonly Append[], options: AppendOptions = {}): Promise<readonly Appended[]> {
    this.assertRunning()
    if (options.tx === undefined) assertOutside(this.context.executor, 'an append')
    checkAppends(appends, this.capabilities.maxEventBytes, this.name)
    for (const { stream, events } of appends) for (const { message } of events) assertEventStorable(stream, message)
    const { tx, inline } = options
    if (tx !== undefined && inline !== undefined) {
      throw new UnsupportedError(
        "an append takes 'tx' or 'inline', not both: in a transaction of yours, call your function yourself",
      )
    }
    if (tx !== undefined) return this.appendWithin(tx, appends)
    const storedAt = this.context.now()
    const { topics } = this.context
    const names = namesOf(appends)
    const known = names.map((name) => topics.known(name))
    const found = known.every((topic) => topic !== undefined) ? known : await topics.ensure(names)
    const prepared = this.prepare(appends, found, storedAt)
    const written = await this.write(prepared, inline)
    this.tell(prepared, written)
    return written.map(({ appended }) => appended)
  }

  readStream(stream: string, options: ReadStreamOptions = {}): AsyncIterable<StoredEvent> {
    return this.reading.stream(stream, options)
  }

  readAll(options: ReadAllOptions = {}): AsyncIterable<StoredEvent> {
    return this.reading.all(options)
  }

  readByCorrelation(correlationId: string): AsyncIterable<StoredEvent> {
    return this.reading.correlated(correlationId)
  }

  async info(stream: string): Promise<StreamInfo> {
    this.assertRunning()
    const infos = await infosOf(this.context.executor, this.dialect, [stream], false)
    return told(infos.get(stream) as StreamInfo)
  }

  async head(): Promise<StoreHead> {
    this.assertRunning()
    const { executor } = this.context
    await this.settling.wait()
    const { position, count, worthKeeping } = await executor.read((sql) => headOf(sql, this.dialect))
    if (worthKeeping) await executor.write((sql) => countOn(sql, this.dialect))
    return { position, count }
  }

  async listen(wake: Wake): Promise<() => Promise<void>> {
    this.assertRunning()
    const end = this.listening.add(wake)
    this.unfollow ??= this.log.follow({
      tick: (changed) => {
        if (changed) this.listening.tell()
      },
      nextDue: () => Infinity,
      storeGrew: () => this.listening.tell(),
    })
    return async () => {
      end()
      if (!this.listening.isEmpty) return
      this.unfollow?.()
      this.unfollow = undefined
    }
  }

  async deleteStream(stream: string, { expected = 'exists', by }: DeleteStreamOptions = {}): Promise<StreamInfo> {
    this.assertRunning()
    assertOutside(this.context.executor, 'a deletion')
    checkName(stream)
    const deletion = { expected, by, at: this.context.now() }
    return persistently(this.context, () =>
      this.context.executor.write((sql) => deleteIn(sql, this.dialect, stream, deletion)),
    )
  }

  async truncateBefore(stream: string, revision: number): Promise<number> {
    this.assertRunning()
    assertOutside(this.context.executor, 'a truncation')
    const atMost = TRUNCATED_AT_ONCE
    for (let count = 0; ;) {
      const some = await this.context.executor.write((sql) =>
        truncateIn(sql, this.dialect, stream, { before: revision, atMost }),
      )
      count += some
      if (some < atMost) return count
    }
  }

  assertOutside(): void {
    this.context.executor.assertOutside?.()
  }

  /** They share a log: also where each has its own connection to the database. */
  publishesTo(broker: Broker): boolean {
    return broker instanceof SqlBroker && broker.sharesLogWith(this.broker)
  }

  async ping(): Promise<void> {
    this.assertRunning()
    await this.broker.ping()
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.listening.clear()
    this.unfollow?.()
    this.unfollow = undefined
    if (this.isOwn) await this.broker.stop()
  }

  /** What comes of it is the user's commit: nobody is woken before, and who polls sees it then. */
  private async appendWithin(tx: Transaction, appends: readonly Append[]): Promise<readonly Appended[]> {
    const names = namesOf(appends)
    const { topics } = this.context
    const apart = this.dialect.makesTopicsApart ? await topics.ensure(names) : undefined
    const written = await disentangled(this.dialect, () =>
      within(tx, this.dialect, this.log.where, async (rows) => {
        const found = apart ?? (await topics.ensureIn(rows, this.dialect.schema, names))
        return appendIn(rows, this.dialect, this.prepare(appends, found, this.context.now()))
      }),
    )
    return written.map(({ appended }) => appended)
  }

  private async write(prepared: readonly Prepared[], inline: AppendOptions['inline']): Promise<readonly Written[]> {
    if (inline !== undefined) return this.writeInline(prepared, inline)
    const [only] = prepared
    if (prepared.length === 1 && only !== undefined) return [await this.grouping.append(only)]
    return appendAlone(this.context, this.dialect, prepared)
  }

  /** What the function does beside is the user's: once it has begun, nothing is tried again. */
  private writeInline(
    prepared: readonly Prepared[],
    inline: NonNullable<AppendOptions['inline']>,
  ): Promise<readonly Written[]> {
    let begun = false
    const write = (): Promise<readonly Written[]> =>
      this.context.executor.write(async (sql) => {
        const written = await appendIn(sql, this.dialect, prepared)
        const stored = inOrder(written)
        if (stored.length === 0) return written
        begun = true
        if (this.dialect.asUsual !== undefined) await sql.all(this.dialect.asUsual)
        const tx = new OwnTransaction(sql, this.dialect)
        try {
          await insideOf(this.context.executor, () => inline(tx, stored))
        } finally {
          tx.end()
        }
        return written
      })
    return disentangled(this.dialect, write, () => !begun)
  }

  private prepare(appends: readonly Append[], topics: readonly Topic[], storedAt: number): Prepared[] {
    const byName = new Map(topics.map((topic) => [topic.name, topic]))
    return appends.map((append) => ({
      ...append,
      storedAt,
      places: append.events.map(({ topic: name, message }) => {
        const topic = byName.get(name) as Topic
        return { topic: topic.id, partition: this.context.topics.partitionFor(topic, message.key) }
      }),
    }))
  }

  /** Wakes the members of groups and the listeners of this process; others are told, or see it themselves. */
  private tell(prepared: readonly Prepared[], written: readonly Written[]): void {
    let isNew = false
    for (const [index, { places }] of prepared.entries()) {
      if (written[index]?.appended.repeated !== false) continue
      isNew = true
      const grown = new Map(places.map((place) => [`${place.topic}/${place.partition}`, place]))
      for (const { topic, partition } of grown.values()) this.context.topicGrew(topic, partition)
    }
    if (isNew) this.context.storeGrew()
  }

  private assertRunning(): void {
    if (this.stopped) throw this.wasStopped()
    this.log.assertRunning()
  }

  private wasStopped(): BrokerError {
    return new BrokerError(`the ${this.name} event storage of ${this.log.where} was stopped; make another one`)
  }
}

/** What was written, in the order of the store. */
function inOrder(written: readonly Written[]): StoredEvent[] {
  return written.flatMap((one) => one.stored).toSorted((a, b) => (a.position < b.position ? -1 : 1))
}

/** Of all topics; mostly it is one. */
function namesOf(appends: readonly Append[]): string[] {
  const names: string[] = []
  for (const { events } of appends) for (const { topic } of events) if (!names.includes(topic)) names.push(topic)
  return names
}
