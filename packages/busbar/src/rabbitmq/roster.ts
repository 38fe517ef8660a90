import { randomUUID } from 'node:crypto'
import type { Channel, ConsumeMessage } from 'amqplib'
import { atMost, pauseAfter, sleep } from './backoff.ts'
import { closed } from './channels.ts'
import { type RabbitContext, withChannel } from './context.ts'
import { explain, isFinal } from './errors.ts'
import { PRESENCE } from './topology.ts'

/** Milliseconds between two looks at how many brokers there are. */
const LOOK = 500
/** Milliseconds for a last word; without it the others find out by counting. */
const GOODBYE = 1_000
/** Milliseconds that brokers have to answer a question. */
const ANSWER = 1_000

/** One member of a group, in whatever process. */
export interface RosterMember {
  readonly id: string
  readonly group: string
  readonly topics: readonly string[]
}

/** What a process has in memory and others cannot see in the queues. */
export interface Numbers {
  /** Delivered and not settled, by `group\0topic`. */
  readonly unsettled: Readonly<Record<string, number>>
  /** Waiting for their time, by queue. */
  readonly waiting: Readonly<Record<string, number>>
}

type Said =
  | { readonly say: 'who'; readonly from: string; readonly question: string }
  | {
      readonly say: 'here'
      readonly from: string
      readonly members: readonly RosterMember[]
      readonly question?: string
      readonly numbers?: Numbers
    }
  | { readonly say: 'bye'; readonly from: string }

interface Question {
  readonly id: string
  readonly answers: Map<string, Extract<Said, { say: 'here' }>>
  readonly enough: () => void
}

/**
 * Which brokers of this deployment live, and which members of groups they have. Each tells its own over a fanout exchange, and how
 * many there should be is the number of consumers of a queue that they all consume: the server itself takes the dead ones off
 * that. Only who should have which partition depends on it; that nobody shares one is the single active consumer's business.
 */
export class Roster {
  readonly id = randomUUID()
  private readonly context: RabbitContext
  private readonly numbers: () => Numbers
  private readonly mine = new Map<string, RosterMember>()
  private readonly others = new Map<string, readonly RosterMember[]>()
  private readonly questions = new Set<Question>()
  private readonly listeners = new Set<() => void>()
  private channel: Channel | undefined
  private timer: NodeJS.Timeout | undefined
  private looking = false
  private ended = false
  private restarting: Promise<void> | undefined

  constructor(context: RabbitContext, numbers: () => Numbers) {
    this.context = context
    this.numbers = numbers
  }

  async start(): Promise<void> {
    const { context } = this
    const { names } = context
    await withChannel(context, 'meet the other brokers', async (channel) => {
      await channel.assertExchange(names.talk, 'fanout', { durable: true })
      await channel.assertQueue(names.brokers, { durable: true, arguments: { ...PRESENCE } })
    })
    // A queue that another broker is only just making can cost the connection; then it is a matter of trying again.
    this.restarting = this.tryAgain(performance.now() + context.settings.connectTimeout).finally(() => {
      this.restarting = undefined
    })
    await this.restarting
    this.timer = setInterval(() => void this.look(), LOOK)
  }

  /** Called when members have come or gone; call the result to end it. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  join(member: RosterMember): void {
    this.mine.set(member.id, member)
    this.announce()
  }

  leave(id: string): void {
    if (this.mine.delete(id)) this.announce()
  }

  /** Members of a group on a topic, the same in every process. */
  membersOf(group: string, topic: string): readonly string[] {
    const all = [...this.mine.values(), ...[...this.others.values()].flat()]
    return all
      .filter((one) => one.group === group && one.topics.includes(topic))
      .map(({ id }) => id)
      .toSorted()
  }

  /** Asks every broker, this one too. `complete`: each that lives has answered. */
  async ask(): Promise<{
    readonly members: readonly RosterMember[]
    readonly numbers: readonly Numbers[]
    readonly complete: boolean
  }> {
    const { answers, complete } = await this.question()
    const mine = [...this.mine.values()]
    const members = [...mine, ...answers.flatMap((one) => one.members)]
    return { members, numbers: [this.numbers(), ...answers.flatMap(({ numbers }) => numbers ?? [])], complete }
  }

  /** Everything as at the start. */
  restart(): Promise<void> {
    this.restarting ??= this.tryAgain(Infinity).finally(() => {
      this.restarting = undefined
    })
    return this.restarting
  }

  async stop(): Promise<void> {
    this.ended = true
    clearInterval(this.timer)
    for (const { enough } of this.questions) enough()
    const { channel } = this
    this.channel = undefined
    await atMost(GOODBYE, this.say({ say: 'bye', from: this.id }))
    await closed(channel)
  }

  private async tryAgain(deadline: number): Promise<void> {
    for (let failures = 1; !this.ended; failures++) {
      try {
        await this.listen()
        return await this.rollCall()
      } catch (error) {
        if (this.ended) return
        if (deadline < Infinity && (isFinal(error) || performance.now() > deadline))
          throw explain(error, 'meet the other brokers')
        this.context.logger.warn({ err: String(error) }, 'RabbitMQ: cannot meet the other brokers: trying again')
        await sleep(pauseAfter(failures))
      }
    }
  }

  private async listen(): Promise<void> {
    const { context } = this
    const channel = await context.consuming.channel()
    await closed(this.channel)
    this.channel = channel
    channel.on('close', () => {
      if (this.channel !== channel) return
      this.channel = undefined
      // With the connection or alone, it is made again.
      if (!this.ended) void this.restart()
    })
    const { queue } = await channel.assertQueue('', { exclusive: true, durable: false, autoDelete: true })
    await channel.bindQueue(queue, context.names.talk, '')
    await channel.consume(queue, (received) => this.hear(received), { noAck: true, exclusive: true })
    await channel.consume(context.names.brokers, () => {})
  }

  private hear(received: ConsumeMessage | null): void {
    if (received === null) return void this.channel?.close().catch(() => {})
    const said = JSON.parse(received.content.toString()) as Said
    if (said.from === this.id || this.ended) return
    if (said.say === 'bye') {
      if (this.others.delete(said.from)) this.changed()
      return
    }
    if (said.say === 'who') {
      const members = [...this.mine.values()]
      return void this.say({ say: 'here', from: this.id, members, question: said.question, numbers: this.numbers() })
    }
    for (const question of this.questions) {
      if (question.id !== said.question) continue
      question.answers.set(said.from, said)
      question.enough()
    }
    const known = this.others.get(said.from)
    this.others.set(said.from, said.members)
    if (JSON.stringify(known) !== JSON.stringify(said.members)) this.changed()
  }

  private announce(): void {
    void this.say({ say: 'here', from: this.id, members: [...this.mine.values()] })
    this.changed()
  }

  private async say(said: Said): Promise<void> {
    try {
      await this.context.sender.send(this.context.names.talk, '', Buffer.from(JSON.stringify(said)), {})
    } catch {
      // Whoever misses it finds out by counting.
    }
  }

  /** As many as there are have to be known, no more and no fewer. */
  private async look(): Promise<void> {
    if (this.looking || this.ended || !this.context.consuming.isUp) return
    if (this.channel === undefined) return void this.restart()
    this.looking = true
    try {
      if ((await this.living()) !== this.others.size + 1) await this.rollCall()
    } catch (error) {
      if (this.context.consuming.isUp && !this.ended) {
        this.context.logger.warn({ err: explain(error, 'count the brokers').message }, 'RabbitMQ: trying again')
      }
    } finally {
      this.looking = false
    }
  }

  private async living(): Promise<number> {
    const { channel } = this
    if (channel === undefined) return this.others.size + 1
    return (await channel.checkQueue(this.context.names.brokers)).consumerCount
  }

  /** Who does not answer is dead, or too busy to be given anything. */
  private async rollCall(): Promise<void> {
    const { answers } = await this.question()
    const there = new Set(answers.map(({ from }) => from))
    let changed = false
    for (const id of this.others.keys()) if (!there.has(id)) changed = this.others.delete(id) || changed
    if (changed) this.changed()
    // Those who have just been told of us may not know what we have.
    if (this.mine.size > 0) void this.say({ say: 'here', from: this.id, members: [...this.mine.values()] })
  }

  private async question(): Promise<{
    readonly answers: Extract<Said, { say: 'here' }>[]
    readonly complete: boolean
  }> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const answers = new Map<string, Extract<Said, { say: 'here' }>>()
    let wanted = Infinity
    const isEnough = (): boolean => answers.size >= wanted
    const question: Question = { id: randomUUID(), answers, enough: () => (isEnough() || this.ended) && resolve() }
    this.questions.add(question)
    const timer = setTimeout(resolve, ANSWER)
    try {
      void this.say({ say: 'who', from: this.id, question: question.id })
      wanted = (await this.living()) - 1
      question.enough()
      await promise
      return { answers: [...answers.values()], complete: isEnough() }
    } finally {
      clearTimeout(timer)
      this.questions.delete(question)
    }
  }

  private changed(): void {
    for (const tell of this.listeners) tell()
  }
}
