import type { JsMsg } from '@nats-io/jetstream'
import {
  type BrokerSubscription,
  type Deliver,
  type SubscriptionSpec,
  UnsupportedError,
  type Verdict,
} from '../broker/index.ts'
import { pauseAfter, sleep } from './backoff.ts'
import { type DeliveryOwner, HandedOut, type Origin } from './delivery.ts'
import { Follower } from './follower.ts'
import { Quiet } from '../broker/quiet.ts'
import { storeVerdict } from './settling.ts'
import type { MemberParts } from './subscription.ts'
import type { Topic } from './topology.ts'
import { foreign, fromWire } from './wire.ts'
import { Window } from './window.ts'

/** Milliseconds before a delivery that was released goes out again. */
const RELEASE_PAUSE = 20

/**
 * A member that gets everything published from now on, for itself alone. Nothing of it is stored but its dead letters: it
 * has no lease and no cursor, and its redeliveries wait in memory.
 */
export class BroadcastMember implements BrokerSubscription {
  readonly group: string
  private readonly parts: MemberParts
  private readonly spec: SubscriptionSpec
  private readonly window: Window
  private readonly onStopped: (member: BroadcastMember) => void
  private readonly followers: Follower[] = []
  private readonly unsettled = new Set<HandedOut>()
  private readonly timers = new Set<NodeJS.Timeout>()
  private readonly quiet = new Quiet(() => this.unsettled.size === 0)
  private stopping: Promise<void> | undefined

  constructor(
    parts: MemberParts,
    spec: SubscriptionSpec,
    deliver: Deliver,
    onStopped: (member: BroadcastMember) => void,
  ) {
    if (spec.onFailure === 'park') {
      throw new UnsupportedError(`broadcast subscription ${spec.group} cannot park failed keys`)
    }
    this.parts = parts
    this.spec = spec
    this.group = spec.group
    this.window = new Window(spec, deliver)
    this.onStopped = onStopped
  }

  async start(): Promise<void> {
    const { context } = this.parts
    const topics = await context.topology.ensure([...new Set(this.spec.topics)])
    await Promise.all(topics.map((topic) => this.follow(topic)))
    setImmediate(() => this.window.begin())
  }

  inFlight(topic: string): number {
    return [...this.unsettled].filter((one) => one.topic === topic).length
  }

  async flush(): Promise<void> {}

  stop(options: { readonly deadline?: number } = {}): Promise<void> {
    this.window.handing = false
    this.stopping ??= this.shutDown()
    void this.quiet.reached(options.deadline)
    return this.stopping
  }

  private async follow(topic: Topic): Promise<void> {
    const { context, asides } = this.parts
    const { names, jsm } = context
    const ahead = Math.min(512, Math.max(4, this.spec.prefetch))
    const [log, aside] = await Promise.all([jsm.streams.info(topic.stream), jsm.streams.info(names.aside)])
    const reading = await Promise.all([
      Follower.open(
        context,
        { stream: topic.stream, filter: names.log(topic.name, '*'), from: log.state.last_seq + 1, ahead },
        (message) => this.take(topic, message),
      ),
      // What was redriven to it.
      Follower.open(
        context,
        {
          stream: names.aside,
          filter: names.asideEntry(this.group, topic.name, '*', '*'),
          from: aside.state.last_seq + 1,
          ahead: 10,
        },
        async (message) => {
          if (this.window.handing && (await asides.remove(message.seq).catch(() => false)))
            await this.take(topic, message)
        },
      ),
    ])
    this.followers.push(...reading)
  }

  private async take(topic: Topic, message: JsMsg): Promise<void> {
    const partition = Number(message.subject.split('.')[3]) || 0
    const from: Origin = { topic: topic.name, partition, seq: message.seq, stream: topic.stream }
    await this.handOut(this.read(from, message))
  }

  private read(from: Origin, { headers, data }: JsMsg): HandedOut {
    try {
      return new HandedOut(fromWire(headers, data), from, owner)
    } catch (error) {
      const message = foreign(from.topic, `${from.partition}@${from.seq ?? ''}`, data)
      return new HandedOut(message, { ...from, unreadable: error as Error }, owner)
    }
  }

  /** Resolves when there was room for it. */
  private async handOut(delivery: HandedOut): Promise<void> {
    while (this.window.handing) {
      let free = (): void => {}
      const room = new Promise<void>((resolve) => {
        free = resolve
      })
      if (this.window.enter({ wake: free })) break
      await room
    }
    if (!this.window.handing) return
    this.unsettled.add(delivery)
    if (delivery.unreadable === undefined) return this.window.handOut(delivery, this.settle)
    const now = Date.now()
    const { name, message } = delivery.unreadable
    delivery.state = 'out'
    const at = { attempts: 0, firstFailedAt: now, lastFailedAt: now }
    this.settle(delivery, {
      deadLetter: { reason: 'undecodable', error: { name, message }, handler: this.group, ...at },
    })
  }

  private readonly settle = (delivery: HandedOut, verdict: Verdict): void => {
    if (delivery.state !== 'out') return
    if ('deadLetter' in verdict) {
      delivery.state = 'storing'
      void this.putAside(delivery, verdict)
      return
    }
    delivery.state = 'done'
    if ('release' in verdict) {
      const { begun: attempts, redeliveries, firstFailedAt } = delivery
      this.later(RELEASE_PAUSE, delivery, { attempts, redeliveries, firstFailedAt })
    } else if ('redeliver' in verdict) {
      const { after, attempts, firstFailedAt } = verdict.redeliver
      this.later(Math.max(0, after), delivery, {
        attempts: Math.max(delivery.begun, attempts),
        redeliveries: delivery.redeliveries + 1,
        firstFailedAt: delivery.firstFailedAt ?? firstFailedAt,
      })
    }
    this.settled(delivery)
  }

  private later(ms: number, { message, topic, partition, seq }: HandedOut, more: Partial<Origin>): void {
    const due = Date.now() + ms
    const again = new HandedOut(message, { topic, partition, ...(seq === undefined ? {} : { seq }), ...more }, owner)
    const wait = (): void => {
      const timer = setTimeout(
        () => {
          this.timers.delete(timer)
          // Timers may fire a little early.
          if (Date.now() < due) wait()
          else void this.handOut(again)
        },
        Math.min(Math.max(1, due - Date.now()), 2 ** 31 - 1),
      )
      this.timers.add(timer)
    }
    wait()
  }

  /** Unsettled until the letter is stored, however long that takes. */
  private async putAside(delivery: HandedOut, verdict: Verdict): Promise<void> {
    const { topic, partition } = delivery
    for (let failures = 1; this.unsettled.has(delivery); failures++) {
      try {
        await storeVerdict(this.parts, { group: this.group, topic, partition }, { delivery, verdict })
        break
      } catch (error) {
        const fields = { group: this.group, topic, err: String(error) }
        this.parts.context.logger.error(fields, 'cannot store a dead letter: it stays unsettled and is tried again')
      }
      await sleep(pauseAfter(failures))
    }
    delivery.state = 'done'
    this.settled(delivery)
  }

  private settled(delivery: HandedOut): void {
    if (this.unsettled.delete(delivery)) this.window.leave(1)
    this.quiet.check()
  }

  private async shutDown(): Promise<void> {
    await this.quiet.reached(undefined)
    for (const timer of this.timers) clearTimeout(timer)
    for (const delivery of this.unsettled) {
      delivery.state = 'done'
      delivery.abort()
    }
    const { size } = this.unsettled
    this.unsettled.clear()
    this.window.leave(size + 1)
    await Promise.all(this.followers.map((follower) => follower.close()))
    this.onStopped(this)
  }
}

/** Nobody else ever gets its deliveries, and nothing of them is stored. */
const owner: DeliveryOwner = {
  lapsed: false,
  began(delivery, attempts) {
    delivery.begun = Math.max(delivery.begun, attempts)
  },
}
