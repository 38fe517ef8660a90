import type { Outgoing } from '../broker/index.ts'
import { atomically } from '../transaction/atomic.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { CommitWatch } from './commit-watch.ts'
import type { SqlContext } from './context.ts'
import { DELAY, type Delayed } from './delayed.ts'
import type { SqlValue } from './executor.ts'
import { appendIn, delayIn } from './foreign.ts'
import { APPEND, logValues } from './log.ts'
import { messageValues } from './rows.ts'
import { type SetAside, setAside } from './set-aside.ts'
import type { Topic } from './topics.ts'

/** What a batch becomes: rows of the log, delayed rows, and messages for one group alone. */
interface Sorted {
  readonly now: SqlValue[][]
  readonly later: SqlValue[][]
  readonly forGroups: SetAside[]
  /** Where the log grows: topic by topic, its partitions. */
  readonly grown: Map<number, Set<number>>
  nextDue: number
}

/** Writes batches of messages: each in one transaction, in the order of the calls. */
export class Publisher {
  private readonly context: SqlContext
  private readonly delayed: Delayed
  private readonly watch: CommitWatch

  constructor(context: SqlContext, delayed: Delayed) {
    this.context = context
    this.delayed = delayed
    this.watch = new CommitWatch(context)
  }

  stop(): Promise<void> {
    return this.watch.stop()
  }

  /** Resolves when the batch is written in the transaction. It is told of when that is over. */
  async publishIn(tx: Transaction, batch: readonly Outgoing[]): Promise<void> {
    const { foreign } = this.context.dialect
    const sorted = await atomically(tx, async () => {
      const known = await this.context.topics.topicsIn(tx, foreign, [...new Set(batch.map(({ topic }) => topic))])
      const rows = this.sort(batch, known)
      const number = rows.now.length === 0 ? undefined : await appendIn(tx, foreign, rows.now)
      if (rows.later.length > 0) await delayIn(tx, foreign, rows.later)
      return { ...rows, number }
    })
    if (sorted.number !== undefined) this.watch.add(sorted.number, sorted.grown)
    // Perhaps too early to see it; other looks follow.
    if (sorted.later.length > 0) this.delayed.added(sorted.nextDue)
  }

  /** Resolves when the batch is committed. */
  async publish(batch: readonly Outgoing[]): Promise<void> {
    const { topics, publishing } = this.context
    // An earlier call that still makes its topics goes first.
    while (topics.making !== undefined) await topics.making.catch(() => {})
    const missing = batch.filter(({ topic }) => topics.known(topic) === undefined)
    if (missing.length > 0) await topics.ensure([...new Set(missing.map(({ topic }) => topic))])

    const [only] = batch
    if (batch.length === 1 && only !== undefined && only.deliverAt === undefined && only.group === undefined) {
      return this.append(only)
    }
    const sorted = this.sort(batch)
    if (sorted.now.length === batch.length) await publishing.runMany(APPEND, sorted.now)
    else {
      await publishing.write(async (sql) => {
        await sql.runMany(APPEND, sorted.now)
        await sql.runMany(DELAY, sorted.later)
        for (const one of sorted.forGroups) await setAside(sql, one)
      })
    }
    this.tell(sorted)
  }

  /** The most frequent case: one statement, which is a transaction of its own. */
  private async append({ topic: name, message }: Outgoing): Promise<void> {
    const topic = this.context.topics.known(name) as Topic
    const partition = this.context.topics.partitionFor(topic, message.key)
    const appended = this.context.publishing.run(APPEND, logValues(topic.id, partition, message))
    const reader = this.context.topicGrows(topic.id, partition)
    await appended
    this.context.topicGrew(topic.id, partition, reader)
  }

  private sort(batch: readonly Outgoing[], topics?: ReadonlyMap<string, Topic>): Sorted {
    const sorted: Sorted = { now: [], later: [], forGroups: [], grown: new Map(), nextDue: Infinity }
    const now = this.context.now()
    for (const outgoing of batch) {
      const { message, deliverAt } = outgoing
      const topic = (topics?.get(outgoing.topic) ?? this.context.topics.known(outgoing.topic)) as Topic
      const partition = this.context.topics.partitionFor(topic, message.key)
      if (outgoing.group !== undefined) {
        sorted.forGroups.push(forGroup(outgoing.group, topic.id, partition, outgoing, deliverAt ?? now))
      } else if (deliverAt !== undefined && deliverAt > now) {
        sorted.nextDue = Math.min(sorted.nextDue, deliverAt)
        sorted.later.push(messageValues(message, deliverAt, topic.id, partition))
      } else {
        sorted.now.push(logValues(topic.id, partition, message))
        const grown = sorted.grown.get(topic.id)
        if (grown === undefined) sorted.grown.set(topic.id, new Set([partition]))
        else grown.add(partition)
      }
    }
    return sorted
  }

  private tell(sorted: Sorted): void {
    for (const [topic, partitions] of sorted.grown) {
      for (const partition of partitions) this.context.topicGrew(topic, partition)
    }
    if (sorted.later.length > 0) this.delayed.added(sorted.nextDue)
    for (const group of new Set(sorted.forGroups.map((one) => one.group))) this.context.groupChanged(group)
  }
}

function forGroup(group: string, topic: number, partition: number, { message }: Outgoing, dueAt: number): SetAside {
  return {
    group,
    topic,
    partition,
    state: 'due',
    message,
    place: `${partition}@-`,
    origin: null,
    lane: message.key,
    dueAt,
    attempts: 0,
    redeliveries: 0,
    crashes: 0,
    firstFailedAt: undefined,
    failure: undefined,
  }
}
