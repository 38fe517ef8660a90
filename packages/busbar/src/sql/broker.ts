import {
  type Broker,
  BrokerError,
  type BrokerMetrics,
  type BrokerSubscription,
  type Capabilities,
  type Deliver,
  type Outgoing,
  type SubscriptionSpec,
} from '../broker/index.ts'
import { ConfigurationError } from '../message/errors.ts'
import { pauseAfter } from './backoff.ts'
import { BroadcastMember } from './broadcast.ts'
import type { SqlContext } from './context.ts'
import { SqlDeadLetters } from './dead-letters.ts'
import { Delayed } from './delayed.ts'
import type { Dialect } from './dialect.ts'
import type { Executor } from './executor.ts'
import { refuseTooLarge } from '../broker/limits.ts'
import type { BrokerLogger } from '../broker/logger.ts'
import { lockCursors } from './leases.ts'
import { GroupMember } from './member.ts'
import { countMembers } from './membership.ts'
import { measure } from './metrics.ts'
import { Publisher } from './publisher.ts'
import { Retention, type RetentionOptions } from './retention.ts'
import { assertStorable } from './rows.ts'
import { migrate } from './schema.ts'
import { type Ticked, Ticker } from './ticker.ts'
import { Topics } from './topics.ts'

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

/** A broker on an SQL database: an append-only log, and a leased cursor for each group and partition. */
export class SqlBroker implements Broker {
  readonly name: string
  readonly capabilities: Capabilities
  readonly deadLetters: SqlDeadLetters

  private readonly options: SqlBrokerOptions
  private readonly executor: Executor
  private readonly context: SqlContext
  private readonly delayed: Delayed
  private readonly publisher: Publisher
  private readonly ticker: Ticker
  private readonly retention: Retention
  private readonly members = new Set<Member>()
  /** The members, and who else is told of what others committed. */
  private readonly ticked = new Set<Ticked>()
  private started: Promise<void> | undefined
  private stopped: Promise<void> | undefined

  constructor(options: SqlBrokerOptions) {
    const { executor, dialect, logger, lease, now } = options
    this.options = options
    this.name = dialect.name
    this.capabilities = options.capabilities
    this.executor = executor
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
      topicGrew: (topic, partition) => {
        for (const member of this.members) member.grew(topic, partition)
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
      assertRunning: () => this.assertRunning(),
    }
  }

  start(): Promise<void> {
    if (this.stopped !== undefined) return Promise.reject(this.notRunning())
    this.started ??= this.open().catch((error: unknown) => {
      this.started = undefined
      throw error
    })
    return this.started
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    this.assertRunning()
    for (const { message } of batch) assertStorable(message)
    refuseTooLarge(batch, this.capabilities.maxMessageBytes, this.name)
    await this.publisher.publish(batch)
  }

  async subscribe(spec: SubscriptionSpec, deliver: Deliver): Promise<BrokerSubscription> {
    this.assertRunning()
    if (spec.topics.length === 0) throw new ConfigurationError(`subscription of group ${spec.group} has no topics`)
    if (!(spec.prefetch >= 1))
      throw new ConfigurationError(`prefetch of group ${spec.group} is ${spec.prefetch}; give 1 or more`)
    const gone = (one: Member): void => {
      this.members.delete(one)
      this.ticked.delete(one)
      this.ticker.setMembers(this.ticked)
    }
    const member: Member = spec.broadcast
      ? new BroadcastMember(this.context, spec, deliver, gone)
      : new GroupMember(this.context, spec, deliver, gone)
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

  async deleteGroup(group: string): Promise<void> {
    this.assertRunning()
    await this.executor.write(async (sql) => {
      await lockCursors(sql, this.context.dialect, group)
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
    this.assertRunning()
    for (const member of this.members) await member.flush()
    return measure(this.context, (group, topic) => {
      let count = 0
      for (const member of this.members) if (member.group === group) count += member.inFlight(topic)
      return count
    })
  }

  async ping(): Promise<void> {
    this.assertRunning()
    await this.executor.run(
      `INSERT INTO busbar_meta (name, value) VALUES ('ping', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
      [String(Date.now())],
    )
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopped ??= this.close(options)
    return this.stopped
  }

  private async open(): Promise<void> {
    const { executor, dialect, where } = this.options
    try {
      for (let failures = 1; ; failures++) {
        try {
          await executor.open()
          await migrate(executor, dialect, where)
          break
        } catch (error) {
          // A connection that breaks at the wrong moment only delays: whatever was done is done again.
          if (executor.passes?.(error) !== true || failures === STARTS || this.stopped !== undefined) throw error
          await new Promise((resolve) => setTimeout(resolve, pauseAfter(failures)))
        }
      }
      await executor.changedElsewhere()
      this.retention.start()
    } catch (error) {
      await executor.close()
      throw error
    }
  }

  private async close(options: { readonly deadline?: number }): Promise<void> {
    if (options.deadline !== undefined) this.executor.hurry?.(options.deadline)
    await this.started?.catch(() => {})
    await Promise.all([...this.members].map((member) => member.stop(options)))
    await this.ticker.stop()
    await this.retention.stop()
    await this.context.publishing.close()
    if (this.context.publishing !== this.executor) await this.executor.close()
  }

  private assertRunning(): void {
    if (this.started === undefined || this.stopped !== undefined) throw this.notRunning()
  }

  private notRunning(): BrokerError {
    const why = this.stopped === undefined ? 'was not started: call start() first' : 'was stopped; make another one'
    return new BrokerError(`the ${this.name} broker of ${this.options.where} ${why}`)
  }
}
