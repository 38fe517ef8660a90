import type { JsMsg } from '@nats-io/jetstream'
import type { EncodedMessage } from '../message/message.ts'
import type { NatsContext } from './context.ts'
import type { Topic } from './topology.ts'
import { fromWire, headerOf, toWire } from './wire.ts'

const INFO = 'busbar-aside'

/**
 * Messages that left the line of one group, whole, to be handed out again. Each is one subject of a stream that keeps the
 * last message of a subject, so a redelivery replaces the one before it; it is deleted when it is settled.
 */
export interface Aside {
  /** Names it within its partition: `l42` for what was at 42 in the log. */
  readonly entry: string
  /** Unix milliseconds. */
  readonly due: number
  readonly attempts: number
  readonly redeliveries: number
  readonly crashes: number
  readonly firstFailedAt?: number
  /** Where it was first, for people. */
  readonly place: string
}

/** One that is known, with where it is stored now. */
export interface KnownAside extends Aside {
  readonly seq: number
}

export class Asides {
  private readonly context: NatsContext

  constructor(context: NatsContext) {
    this.context = context
  }

  /** For one group alone, as a publish or a redrive. `once`: a second call with the same text stores nothing and says false. */
  async publish(
    group: string,
    topic: Topic,
    partition: number,
    message: EncodedMessage,
    due: number,
    once?: string,
  ): Promise<boolean> {
    const entry = `g${crypto.randomUUID()}`
    const aside = { entry, due, attempts: 0, redeliveries: 0, crashes: 0, place: `${partition}@-` }
    return (await this.store({ group, topic: topic.name, partition }, message, aside, once)) !== undefined
  }

  /** Resolves to its sequence once it is safe; undefined where `once` was stored before. */
  async store(
    at: { readonly group: string; readonly topic: string; readonly partition: number },
    message: EncodedMessage,
    aside: Aside,
    once?: string,
  ): Promise<number | undefined> {
    const { js, names, headers } = this.context
    const { headers: set, data } = toWire(message, headers)
    const { entry, ...info } = aside
    set.append(INFO, encodeURIComponent(JSON.stringify(info)))
    const subject = names.asideEntry(at.group, at.topic, at.partition, entry)
    const ack = await js.publish(subject, data, { headers: set, ...(once === undefined ? {} : { msgID: once }) })
    return ack.duplicate ? undefined : ack.seq
  }

  /** The message behind it; undefined where it is gone. */
  async read(seq: number): Promise<EncodedMessage | undefined> {
    const stored = await this.context.jsm.streams.getMessage(this.context.names.aside, { seq })
    return stored === null ? undefined : fromWire(stored.header, stored.data)
  }

  /** False: it was gone already. */
  remove(seq: number): Promise<boolean> {
    return removed(this.context, this.context.names.aside, seq)
  }

  known(message: JsMsg): KnownAside | undefined {
    const entry = message.subject.split('.').at(-1)
    const text = headerOf(message.headers, INFO)
    if (entry === undefined || text === '') return undefined
    return { ...(JSON.parse(decodeURIComponent(text)) as Omit<Aside, 'entry'>), entry, seq: message.seq }
  }
}

/** Deletes one message of a stream. False: it was gone already. */
export async function removed(context: NatsContext, stream: string, seq: number): Promise<boolean> {
  try {
    return await context.jsm.streams.deleteMessage(stream, seq, false)
  } catch (error) {
    const { code } = error as { code?: unknown }
    // 10057: message delete failed (no message found), 10037: no message found, 10043: not found.
    if (
      code === 10057 ||
      code === 10037 ||
      code === 10043 ||
      /not found|no message|could not find/i.test(String(error))
    )
      return false
    throw error
  }
}
