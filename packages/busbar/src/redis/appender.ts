import type { Redis } from 'ioredis'
import type { Outgoing } from '../broker/index.ts'
import { ConnectionCutError } from '../ioredis/unanswered.ts'
import { ConfigurationError, MessageTooLargeError } from '../message/errors.ts'
import { type EncodedMessage, Snapshot } from '../message/message.ts'
import { type Reply, run, text } from './connection.ts'
import type { RedisContext } from './context.ts'
import type { Delayed } from './delayed.ts'
import { type CommandClass, Frame, FramedScript } from './frame.ts'
import { pack } from './packing.ts'
import { scripts } from './scripts/index.ts'
import type { Topic } from './topology.ts'
import { type Field, toFields } from './wire.ts'

/** Most messages and most bytes (about) of one script: they bound the time that it holds the server. */
const MOST = 1_000
const MOST_BYTES = 4 * 1024 * 1024
/** A script cannot call a command with more than about 8 000 arguments. */
const MOST_HEADERS = 2_000

const NOBODY: ReadonlySet<object> = new Set()

const many = new FramedScript(scripts.busbarPublish)
const one = new FramedScript(scripts.busbarPublishOne)

/** Errors by the place of their message in the call. */
export type Errors = ReadonlyMap<number, Error>

interface Call {
  readonly messages: readonly Placed[]
  /** Messages of it that have been sent. */
  sent: number
  /** Messages of it whose fate is known. */
  known: number
  readonly errors: Map<number, Error>
  readonly resolve: (errors: Errors) => void
}

interface Placed {
  readonly message: EncodedMessage
  readonly n: number
  /** Unix milliseconds; undefined: now. */
  readonly due: number | undefined
}

/** A part of a call that goes with one script. */
interface Part {
  readonly call: Call
  readonly from: number
  readonly count: number
}

/**
 * Appends to one topic: one batch at a time, so that order is that of the calls; those that come meanwhile make the next. A batch
 * whose answer was lost with its connection is sent again under the same number, and the server knows whether it has it.
 */
export class Appender {
  private readonly context: RedisContext
  private readonly redis: Redis
  private readonly command: CommandClass
  private readonly topic: Topic
  private readonly publisher: string
  private readonly delayed: Delayed
  private readonly base: string
  private readonly waiting: Call[] = []
  private number = 0
  private sending = false
  /** Who reads what is being appended, behind it. */
  private reading: ReadonlySet<object> = NOBODY

  constructor(
    context: RedisContext,
    of: {
      readonly redis: Redis
      readonly command: CommandClass
      readonly topic: Topic
      readonly publisher: string
      readonly delayed: Delayed
    },
  ) {
    this.context = context
    this.redis = of.redis
    this.command = of.command
    this.topic = of.topic
    this.publisher = of.publisher
    this.delayed = of.delayed
    this.base = context.keys.base(of.topic.name)
  }

  /** Resolves when it is known what became of each message. @throws what says that one of them cannot be sent; then none is. */
  append(messages: readonly Outgoing[]): Promise<Errors> {
    const { topics, now } = this.context
    const placed = messages.map(({ message, deliverAt }): Placed => {
      refuseUnsendable(message)
      const due = deliverAt !== undefined && deliverAt > now() ? deliverAt : undefined
      return { message, n: topics.partitionFor(this.topic, message.key), due }
    })
    return new Promise((resolve) => {
      this.waiting.push({ messages: placed, sent: 0, known: 0, errors: new Map(), resolve })
      if (!this.sending) void this.send()
    })
  }

  private async send(): Promise<void> {
    this.sending = true
    while (this.waiting.length > 0) {
      const parts = this.take()
      try {
        const placed = parts.flatMap(({ call, from, count }) => call.messages.slice(from, from + count))
        settle(parts, await this.once(placed))
      } catch (error) {
        for (const part of parts) for (let at = 0; at < part.count; at++) fail(part, at, error as Error)
      }
      this.tell(parts)
    }
    this.sending = false
  }

  /** The next messages. */
  private take(): Part[] {
    const parts: Part[] = []
    let room = MOST
    let bytes = MOST_BYTES
    for (let call = this.waiting[0]; call !== undefined && room > 0 && bytes > 0; call = this.waiting[0]) {
      const from = call.sent
      while (call.sent < call.messages.length && room > 0 && bytes > 0) {
        room--
        bytes -= sizeOf((call.messages[call.sent++] as Placed).message)
      }
      parts.push({ call, from, count: call.sent - from })
      if (call.sent === call.messages.length) this.waiting.shift()
    }
    return parts
  }

  /** Those who wait for messages, and those who wait to know. */
  private tell(parts: readonly Part[]): void {
    const { watcher, keys } = this.context
    const grown = new Set<number>()
    for (const { call, from, count } of parts) {
      for (let at = from; at < from + count; at++) {
        const { n, due } = call.messages[at] as Placed
        if (due === undefined) grown.add(n)
        else this.delayed.added(this.topic, due)
      }
      call.known += count
      if (call.known === call.messages.length) call.resolve(call.errors)
    }
    for (const n of grown) watcher.grew(keys.stream(this.topic.name, n), this.reading)
  }

  /** Sends until there is an answer: the number makes it happen once. */
  private async once(placed: readonly Placed[]): Promise<string> {
    const listens = this.context.hearing.hears(`${this.base}grew`) ? '1' : '0'
    const head = [this.base, this.publisher, String(++this.number), listens]
    const send = this.sender(placed, head)
    for (;;) {
      try {
        return text(await send())
      } catch (error) {
        if (!(error instanceof ConnectionCutError)) throw error
      }
    }
  }

  private sender(placed: readonly Placed[], head: readonly string[]): () => Promise<Reply> {
    const entries = placed.map(({ message, n, due }) => ({ n, due, fields: toFields(message) }))
    const [first] = entries
    const alone = first !== undefined && entries.length === 1 && first.due === undefined
    const args = alone ? [String(first.n), ...first.fields] : pack(entries)
    const stream = alone ? this.context.keys.stream(this.topic.name, first.n) : undefined
    const sent = (): void => {
      this.reading = stream === undefined ? NOBODY : this.context.watcher.growing(stream, this.redis)
    }
    if (isText(args)) {
      const frame = new Frame(args)
      return () => (alone ? one : many).run(this.redis, this.command, head, frame, sent)
    }
    return () => {
      this.reading = NOBODY
      return run(this.redis, alone ? 'busbarPublishOne' : 'busbarPublish', [...head, ...args])
    }
  }
}

const isText = (args: readonly Field[]): args is readonly string[] => args.every((arg) => typeof arg === 'string')

/** A line of `index reason` for each message that failed. */
function settle(parts: readonly Part[], outcome: string): void {
  if (outcome === '') return
  const all = parts.flatMap((part) => Array.from({ length: part.count }, (_, at) => ({ part, at })))
  for (const line of outcome.split('\n')) {
    const [index, ...reason] = line.split(' ')
    const one = all[Number(index)]
    if (one !== undefined) fail(one.part, one.at, new Error(`Redis refused it: ${reason.join(' ')}`))
  }
}

function fail({ call, from }: Part, at: number, error: Error): void {
  call.errors.set(from + at, error)
}

/** @throws what says why; a script must not fail half-way. */
function refuseUnsendable({ type, id, body, metadata }: EncodedMessage): void {
  if (body instanceof Snapshot) {
    throw new ConfigurationError(`${type} ${id} holds a copy for this process, not text or bytes`)
  }
  const headers = Object.keys(metadata).length
  if (headers <= MOST_HEADERS) return
  throw new MessageTooLargeError(
    `message ${id} (${type}) has ${headers} headers, and redis-streams takes ${MOST_HEADERS}; nothing was sent. ` +
      'Put them into the data',
  )
}

/** About how many bytes it takes. */
const sizeOf = ({ body }: EncodedMessage): number => (body instanceof Snapshot ? 0 : body.length)
