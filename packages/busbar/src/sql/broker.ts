import {
  type Broker,
  BrokerError,
  type BrokerMetrics,
  type BrokerSubscription,
  type Capabilities,
  type Deliver,
  type Outgoing,
  type SubscriptionSpec,
  UnsupportedError,
} from '../broker/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import { pauseAfter, sleep } from '../broker/backoff.ts'
import { Lifecycle } from '../broker/lifecycle.ts'
import { TransactionError } from '../transaction/errors.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { BroadcastMember } from './broadcast.ts'
import type { SqlContext } from './context.ts'
import { SqlDeadLetters } from './dead-letters.ts'
import { Delayed } from './delayed.ts'
import type { Dialect } from './dialect.ts'
import type { Executor } from './executor.ts'
import { explainedForeign } from './foreign.ts'
import { refuseTooLarge } from '../broker/limits.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { lockCursors } from './leases.ts'
import { GroupMember } from './member.ts'
import { countMembers } from './membership.ts'
import { measure } from './metrics.ts'
import { Publisher } from './publisher.ts'
import { Retention, type RetentionOptions } from './retention.ts'
import { assertStorable } from './rows.ts'
import { migrate, versionOf } from './schema.ts'
import { type Ticked, Ticker } from './ticker.ts'
import { Topics } from './topics.ts'
import { unentangled } from './unentangled.ts'

export interface SqlBrokerOptions {
  readonly executor: Executor
  /** What appends to the log, in the order of the calls. Default: `executor`. */
  readonly publishing?: Executor
  readonly dialect: Dialect
  readonly capabilities: Capabilities
  /** The database, for people. */
  readonly where: string
  readonly lease: number
  readonly partitions: number
  readonly pollInterval: number
  readonly retention: RetentionOptions
  readonly logger: BrokerLogger
  readonly now: () => number
}

/** How often a start is tried again where the connection breaks in the middle of it. */
const STARTS = 10

type Member = GroupMember | BroadcastMember

/** What is kept in the log beside plain messages stands on this (`events/`). */
export interface SharedLog {
  readonly context: SqlContext
  /** The database, for people. */
  readonly where: string
  /** Calls as the ticker does for members, until what it returns is called. */
  follow(one: Ticked): () => void
  /** Throws where the broker does not run. */
  assertRunning(): void
}

interface Running {
  readonly context: SqlContext
  readonly publisher: Publisher
}

/** A broker on an SQL database: an append-only log, and a leased cursor for each group and partition. */
export class SqlBroker implements Broker {
  readonly name: string
  readonly capabilities: Capabilities
  readonly deadLetters: SqlDeadLetters

  private readonly options: SqlBrokerOptions
  private readonly context: SqlContext
  private readonly delayed: Delayed
  private readonly publisher: Publisher
  private readonly ticker: Ticker
  private readonly retention: Retention
  private readonly members = new Set<Member>()
  /** The members, and who else is told of what others committed. */
  private readonly ticked = new Set<Ticked>()
  private readonly life: Lifecycle<Running>

  constructor(options: SqlBrokerOptions) {
    const { executor, dialect, logger, lease, now } = options
    this.options = options
    this.name = dialect.name
    this.life = new Lifecycle(`the ${dialect.name} broker of ${options.where}`)
    this.capabilities = options.capabilities
    this.context = {
      executor,
      publishing: options.publishing ?? executor,
      dialect,
      logger,
      lease,
      now,
      topics: new Topics(executor, options.partitions),
      groupChanged: (group) => {
        for (const member of this.members) if (member.group === group) member.changed()
        executor.announce?.()
      },
      topicGrows: (topic, partition) => {
        if (dialect.fetchBehind === undefined) return undefined
        for (const member of this.members) {
          const behind = member instanceof GroupMember ? member.growing(topic, partition) : undefined
          if (behind !== undefined) return behind
        }
        return undefined
      },
      topicGrew: (topic, partition, behind) => {
        const reader = behind?.inVain === true ? undefined : behind?.member
        for (const member of this.members) if (member !== reader) member.grew(topic, partition)
        executor.announce?.()
      },
      storeGrew: () => {
        for (const one of this.ticked) one.storeGrew?.()
        executor.announce?.()
      },
    }
    this.deadLetters = new SqlDeadLetters(this.context)
    this.delayed = new Delayed(this.context)
    this.publisher = new Publisher(this.context, this.delayed)
    this.retention = new Retention(this.context, options.retention)
    this.ticker = new Ticker(this.context, this.delayed, options.pollInterval)
  }

  /** @internal What an event storage on the same database stands on. */
  get log(): SharedLog {
    return {
      context: this.context,
      where: this.options.where,
      follow: (one) => {
        this.ticked.add(one)
        this.ticker.setMembers(this.ticked)
        return () => {
          this.ticked.delete(one)
          this.ticker.setMembers(this.ticked)
        }
      },
      assertRunning: () => void this.life.running,
    }
  }

  start(): Promise<void> {
    return this.life.start((ending) => this.open(ending))
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    const { publisher } = this.life.running
    for (const { message } of batch) assertStorable(message)
    refuseTooLarge(batch, this.capabilities.maxMessageBytes, this.name)
    await publisher.publish(batch)
  }

  assertOutside(): void {
    const { publishing, executor } = this.options
    ;(publishing ?? executor).assertOutside?.()
  }

  async publishIn(tx: Transaction, batch: readonly Outgoing[]): Promise<void> {
    const { publisher } = this.life.running
    const { dialect, where } = this.options
    if (!this.capabilities.transactions) {
      throw new UnsupportedError(`${where} is a database of this broker alone: no transaction of yours can be in it`)
    }
    if (tx.dialect !== dialect.name) {
      throw new TransactionError(
        `the transaction is of ${tx.dialect} and the log is in ${where}: begin it there, or name that database as broker or outbox. Nothing was written`,
      )
    }
    const directed = batch.find(({ group }) => group !== undefined)
    if (directed !== undefined) {
      throw new UnsupportedError(
        `a message for one group alone (${directed.group}) cannot be published in a transaction`,
      )
    }
    for (const { message } of batch) assertStorable(message)
    refuseTooLarge(batch, this.capabilities.maxMessageBytes, this.name)
    try {
      await publisher.publishIn(tx, batch)
    } catch (error) {
      throw explainedForeign(error, where)
    }
  }

  async subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription> {
    const { context } = this.life.running
    if (spec.topics.length === 0) throw new ConfigurationError(`subscription of group ${spec.group} has no topics`)
    if (!(spec.prefetch >= 1))
      throw new ConfigurationError(`prefetch of group ${spec.group} is ${spec.prefetch}; give 1 or more`)
    const gone = (one: Member): void => {
      this.members.delete(one)
      this.ticked.delete(one)
      this.ticker.setMembers(this.ticked)
    }
    const member: Member = spec.broadcast
      ? new BroadcastMember(context, spec, deliver, gone)
      : new GroupMember(context, spec, deliver, gone)
    this.members.add(member)
    try {
      await member.start()
    } catch (error) {
      gone(member)
      throw error
    }
    this.ticked.add(member)
    this.ticker.setMembers(this.ticked)
    return member
  }

  /** Whether both are on the same database, as far as their settings tell. */
  sharesLogWith(other: SqlBroker): boolean {
    return this === other || (this.capabilities.multiProcess && this.options.where === other.options.where)
  }

  async deleteGroup(group: string): Promise<void> {
    const { executor, dialect } = this.life.running.context
    await unentangled(executor, async (sql) => {
      await lockCursors(sql, dialect, group)
      const members = await countMembers(sql, group, Date.now())
      if (members > 0) {
        throw new BrokerError(`group ${group} has ${members} members; stop them before deleting it`)
      }
      await sql.run('DELETE FROM busbar_cursors WHERE grp = ?', [group])
      await sql.run('DELETE FROM busbar_members WHERE grp = ?', [group])
      await sql.run(`DELETE FROM busbar_set_aside WHERE grp = ? AND state <> 'dead'`, [group])
    })
  }

  async metrics(): Promise<BrokerMetrics> {
    const { context } = this.life.running
    for (const member of this.members) await member.flush()
    return measure(context, (group, topic) => {
      let count = 0
      for (const member of this.members) if (member.group === group) count += member.inFlight(topic)
      return count
    })
  }

  async ping(): Promise<void> {
    await this.life.running.context.executor.run(
      `INSERT INTO busbar_meta (name, value) VALUES ('ping', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
      [String(Date.now())],
    )
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    return this.life.stop(() => this.close(options))
  }

  private async open(ending: AbortSignal): Promise<Running> {
    const { executor } = this.context
    const interrupt = (): void => executor.interrupt()
    ending.addEventListener('abort', interrupt, { once: true })
    try {
      await this.prepare(ending)
      await executor.changedElsewhere()
      ending.throwIfAborted()
      this.retention.start()
      return { context: this.context, publisher: this.publisher }
    } catch (error) {
      await executor.close()
      ending.throwIfAborted()
      throw error
    } finally {
      ending.removeEventListener('abort', interrupt)
    }
  }

  private async prepare(ending: AbortSignal): Promise<void> {
    const { executor, dialect, where } = this.options
    for (let failures = 1; ; failures++) {
      try {
        await executor.open((sql) => versionOf(sql, dialect, where))
        return await migrate(executor, dialect, where)
      } catch (error) {
        // A connection that breaks at the wrong moment only delays: whatever was done is done again.
        if (executor.passes?.(error) !== true || failures === STARTS) throw error
        await sleep(pauseAfter(failures), ending)
      }
    }
  }

  private async close(options: { readonly deadline?: number }): Promise<void> {
    if (options.deadline !== undefined) this.context.executor.hurry?.(options.deadline)
    const { executor, publishing } = this.context
    await Promise.all([...this.members].map((member) => member.stop(options)))
    await this.ticker.stop()
    await this.publisher.stop()
    await this.retention.stop()
    await publishing.close()
    if (publishing !== executor) await executor.close()
  }
}
