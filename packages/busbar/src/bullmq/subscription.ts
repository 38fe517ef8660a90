import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BrokerSubscription, Deliver, SubscriptionSpec, Verdict } from '../broker/index.ts'
import { isLater } from '../broker/index.ts'
import { pauseAfter } from '../broker/backoff.ts'
import { Quiet } from '../broker/quiet.ts'
import type { DecodeError } from '../message/errors.ts'
import { uuidv7 } from '../message/uuid.ts'
import type { BullMqContext } from './context.ts'
import type { HandedOut } from './delivery.ts'
import { Intake, type IntakeHost } from './intake.ts'
import { Markers } from './markers.ts'
import { age } from './priority.ts'
import type { Queue } from './queues.ts'
import { Settling, type SettlingHost } from './settling.ts'
import { Suspects } from './suspects.ts'

/** Milliseconds; after that what is unsettled is left to its locks. */
const LONGEST_GIVING_BACK = 2_000

/** What a member reads. */
export interface Reading {
  /** Of the registry: the spec's own, or a name that no other member has. */
  readonly group: string
  readonly queues: readonly Queue[]
  /** Queues that get nothing by themselves, only what is sent to this group alone. */
  readonly more: readonly Queue[]
  /** The queues go with the member. */
  readonly temporary: boolean
  readonly letters?: ConstructorParameters<typeof Settling>[2]
}

/** A member of a group: fetches jobs by hand, so that at most `prefetch` are in memory, and settles each by its verdict. */
export class GroupMember implements BrokerSubscription, IntakeHost, SettlingHost {
  readonly spec: SubscriptionSpec
  readonly id = uuidv7()
  readonly intakes: readonly Intake[]
  handing = true
  gone = false

  private readonly context: BullMqContext
  private readonly reading: Reading
  private readonly deliver: Deliver
  private readonly onStopped: (member: GroupMember) => void
  private readonly settling: Settling
  private readonly suspects: Suspects
  private readonly markers: Markers
  private readonly quiet = new Quiet(() => this.isQuiet())
  /** Places taken: jobs being fetched, and what is unsettled. */
  private used = 0
  private failures = 0
  private heartbeat: NodeJS.Timeout | undefined
  private beating: Promise<void> | undefined
  private dueTimer: NodeJS.Timeout | undefined
  private retryTimer: NodeJS.Timeout | undefined
  private stopping: Promise<void> | undefined

  constructor(
    context: BullMqContext,
    spec: SubscriptionSpec,
    reading: Reading,
    deliver: Deliver,
    onStopped: (member: GroupMember) => void,
  ) {
    this.context = context
    this.spec = spec
    this.reading = reading
    this.deliver = deliver
    this.onStopped = onStopped
    this.intakes = [...reading.queues, ...reading.more].map((queue) => new Intake(context, this, queue))
    this.settling = new Settling(context, this, reading.letters)
    this.suspects = new Suspects(
      (intake, delivery) => this.hand(intake, delivery),
      (intake, delivery) => this.settling.lose(intake, delivery),
    )
    this.markers = new Markers(context, this.intakes, () => this.handing && this.room > 0)
  }

  get group(): string {
    return this.spec.group
  }

  get room(): number {
    return this.spec.prefetch - this.used
  }

  async start(): Promise<void> {
    await this.markers.start(`member:${this.spec.group}`)
    await this.enter()
    // Not unref'd: a process that only consumes stays alive.
    this.heartbeat = setInterval(() => void this.beat(), Math.max(10, this.context.settings.lease / 3))
    setImmediate(() => {
      void this.beat()
      this.pump()
    })
  }

  /** A fetch that waits for a server that is away is not waited for. */
  private isQuiet(): boolean {
    if (this.intakes.some(({ unsettled }) => unsettled.size > 0)) return false
    return this.used === 0 || this.context.redis.status !== 'ready'
  }

  /** Deliveries handed out and not settled, of one topic. */
  inFlight(topic: string): number {
    let count = 0
    for (const { queue, unsettled } of this.intakes) if (queue.topic === topic) count += unsettled.size
    return count
  }

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  reserve(): void {
    this.used++
  }

  free(): void {
    this.used--
    this.quiet.check()
    this.pump()
  }

  ended(delivery: HandedOut): void {
    this.suspects.ended(delivery)
  }

  handOut(intake: Intake, delivery: HandedOut): void {
    this.failures = 0
    if (delivery.suspect) this.suspects.add(intake, delivery)
    else this.hand(intake, delivery)
  }

  giveBack(intake: Intake, delivery: HandedOut): void {
    void this.settling.release(intake, delivery, 0)
  }

  failed(error: unknown): void {
    if (this.gone || this.retryTimer !== undefined) return
    const fields = { group: this.spec.group, topics: this.spec.topics, err: String(error) }
    if (this.failures === 0) this.context.settings.logger.error(fields, 'cannot fetch from BullMQ: trying again')
    this.retryTimer = setTimeout(
      () => {
        this.retryTimer = undefined
        for (const intake of this.intakes) intake.wake()
      },
      pauseAfter(++this.failures),
    )
  }

  private pump(): void {
    if (!this.handing) return
    for (const intake of this.intakes) intake.pump()
    this.markers.look()
    this.sleepUntilDue()
  }

  private hand(intake: Intake, delivery: HandedOut): void {
    if (delivery.state !== 'held') return
    if (!this.handing) return this.giveBack(intake, delivery)
    delivery.state = 'out'
    delivery.since = performance.now()
    if (delivery.unreadable !== undefined)
      return this.settling.settle(intake, delivery, this.refuse(delivery.unreadable))
    const answer = this.deliver(delivery)
    if (!isLater(answer)) return this.settling.settle(intake, delivery, answer)
    answer.then(
      (verdict) => this.settling.settle(intake, delivery, verdict),
      () => this.settling.settle(intake, delivery, { release: true }),
    )
  }

  private enter(): Promise<void> {
    const { registry, settings } = this.context
    const { group, queues, temporary } = this.reading
    return registry.enter(this.id, group, queues, settings.lease, temporary)
  }

  /** A sign of life: for the group, for each job in memory, and for what the dead left behind. One at a time. */
  private beat(): Promise<void> {
    this.beating ??= this.beatOnce()
      .catch((error: unknown) => {
        if (!this.gone)
          this.context.settings.logger.warn(
            { group: this.spec.group, err: String(error) },
            'no heartbeat: trying again',
          )
        this.loseExpired()
      })
      .finally(() => (this.beating = undefined))
    return this.beating
  }

  private async beatOnce(): Promise<void> {
    const { redis, settings } = this.context
    await Promise.all(this.intakes.map((intake) => intake.renew((delivery) => this.settling.lose(intake, delivery))))
    if (!this.handing) return
    await this.enter()
    for (const intake of this.intakes) {
      const stalled = await intake.queue.backend.moveStalledJobsToWait()
      if (stalled.length > 0) intake.wake()
      await age(redis, intake.queue, settings.ageing, settings.lease / 3)
    }
  }

  /** While the server cannot be asked, locks run out. */
  private loseExpired(): void {
    for (const intake of this.intakes) {
      for (const delivery of intake.unsettled) if (delivery.lapsed) this.settling.lose(intake, delivery)
    }
  }

  private sleepUntilDue(): void {
    const next = Math.min(...this.intakes.map(({ nextDue }) => nextDue))
    clearTimeout(this.dueTimer)
    if (next === Infinity || !this.handing) return
    this.dueTimer = setTimeout(
      () => {
        const now = Date.now()
        for (const intake of this.intakes) if (intake.nextDue <= now) intake.wake()
        this.sleepUntilDue()
      },
      Math.min(2 ** 31 - 1, Math.max(1, next - Date.now())),
    )
  }

  private async shutDown(): Promise<void> {
    this.handing = false
    const { reading, context } = this
    const left = this.markers.stop()
    for (const { intake, delivery } of this.suspects.drain()) this.giveBack(intake, delivery)
    await this.quiet.reached(undefined)
    clearInterval(this.heartbeat)
    clearTimeout(this.dueTimer)
    clearTimeout(this.retryTimer)
    await left
    await Promise.race([this.beating, sleep(LONGEST_GIVING_BACK)])
    try {
      // A server that is away cannot be told: what it remembers runs out by itself.
      if (context.redis.status !== 'ready') throw new Error('the server is away')
      await Promise.race([this.giveAllBack(), sleep(LONGEST_GIVING_BACK)])
      await context.registry.leave(this.id, reading.group, reading.temporary ? reading.queues : [])
      if (reading.temporary) for (const queue of reading.queues) await context.registry.obliterate(queue)
    } catch (error) {
      const fields = { group: this.spec.group, err: String(error) }
      context.settings.logger.error(
        fields,
        'cannot give back what is unsettled: others take it when its locks are over',
      )
    }
    this.gone = true
    for (const intake of this.intakes) for (const delivery of intake.unsettled) this.settling.lose(intake, delivery)
    this.onStopped(this)
  }

  /** What is unsettled when the deadline is over. Verdicts that come now do no harm. */
  private async giveAllBack(): Promise<void> {
    await Promise.all(
      this.intakes.flatMap((intake) =>
        [...intake.unsettled].map((delivery) => {
          delivery.abort()
          delivery.state = 'storing'
          return this.settling.release(intake, delivery, 0)
        }),
      ),
    )
  }

  private refuse(error: DecodeError): Verdict {
    const now = Date.now()
    const { name, message } = error
    const failure = { reason: 'undecodable', error: { name, message }, handler: this.spec.group, attempts: 0 } as const
    return { deadLetter: { ...failure, firstFailedAt: now, lastFailedAt: now } }
  }
}
