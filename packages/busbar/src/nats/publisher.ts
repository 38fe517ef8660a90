import { type Outgoing, PublishError, UnsupportedError } from '../broker/index.ts'
import { MessageTooLargeError } from '../message/errors.ts'
import { type EncodedMessage, Snapshot } from '../message/message.ts'
import type { Asides } from './asides.ts'
import { HEADER_ROOM } from './connection.ts'
import type { Confirmed } from './confirmations.ts'
import type { NatsContext } from './context.ts'
import { explain } from './errors.ts'
import type { Topic } from './topology.ts'
import { sizeOf, toWire, type Wire } from './wire.ts'

/** Publishes batches: all messages of one leave at once, and each is confirmed by the server. */
export class Publisher {
  private readonly context: NatsContext
  private readonly asides: Asides
  private readonly limit: number
  private readonly coming: (topic: Topic, partition: number, id: string) => void
  private readonly underWay = new Set<Promise<unknown>>()

  /** @param coming Is told of a message that leaves for a log alone, at once: what it sends leaves with the message. */
  constructor(context: NatsContext, asides: Asides, limit: number, coming: Publisher['coming']) {
    this.context = context
    this.asides = asides
    this.limit = limit
    this.coming = coming
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    const { topology } = this.context
    // An earlier call that still makes its topics goes first.
    while (topology.making !== undefined) await topology.making.catch(() => {})
    const missing = batch.filter(({ topic }) => topology.known(topic) === undefined)
    if (missing.length > 0) await topology.ensure(missing.map(({ topic }) => topic))
    const now = Date.now()
    const checked = batch.map((outgoing) => this.check(outgoing, now))
    // From here to the last send nothing is awaited: the order of the calls is the order on the wire.
    const alone = batch.length === 1 && this.underWay.size === 0
    const sent = sendAll(checked, (one, told) => this.send(one, now, alone, told))
    this.underWay.add(sent)
    const errors = await sent
    this.underWay.delete(sent)
    if (errors.size === 0) return
    const failed = [...errors].toSorted(([one], [other]) => one - other)
    throw new PublishError(
      failed.map(([index, error]) => ({ index, id: batch[index]?.message.id ?? '', error: explain(error, 'publish') })),
      batch.length,
    )
  }

  /** Resolves when nothing is on its way any more. */
  async idle(): Promise<void> {
    await Promise.all(this.underWay)
  }

  /**
   * Nothing is sent before all of a batch are checked. Most messages are written only when they are sent, so that the server works
   * on the first of them while the others are written; one that may be refused is written now.
   *
   * @throws what says why it cannot be sent.
   */
  private check(outgoing: Outgoing, now: number): Checked {
    const { topic: name, message, deliverAt, group } = outgoing
    const { topology, headers, nc } = this.context
    const topic = topology.known(name) as Topic
    const most = (nc.info?.max_payload ?? Infinity) - HEADER_ROOM / 2
    const delayed = deliverAt !== undefined && deliverAt > now
    if (group === undefined && delayed && !topic.schedules) throw this.cannotDelay(topic)
    if (isSurelySent(message, Math.min(this.limit, most))) return { outgoing, topic, wire: undefined }
    const size =
      typeof message.body === 'string' ? Buffer.byteLength(message.body) : (message.body as Uint8Array).byteLength
    if (size > this.limit) throw tooLarge(message, size, this.limit)
    if (group !== undefined) return { outgoing, topic, wire: undefined }
    const wire = toWire(message, headers, idOf(outgoing, now))
    const total = sizeOf(wire)
    if (total > most) throw tooLarge(message, total, most)
    return { outgoing, topic, wire }
  }

  private send(
    { outgoing, topic, wire }: Checked,
    now: number,
    alone: boolean,
    told: (result?: Confirmed | Error) => void,
  ): void {
    const { topic: name, message, deliverAt, group } = outgoing
    const { names, topology, headers, confirmations } = this.context
    const partition = topology.partitionFor(topic, message.key)
    if (group !== undefined) {
      const publishing = this.asides.publish(group, topic, partition, message, deliverAt ?? now)
      publishing.then(
        () => told(),
        (error) => told(explain(error, 'publish')),
      )
      return
    }
    const subject = names.log(name, partition)
    const write = (): Wire => wire ?? toWire(message, headers, idOf(outgoing, now))
    if (deliverAt === undefined || deliverAt <= now) {
      confirmations.post(subject, write, told)
      if (alone) this.coming(topic, partition, message.id)
      return
    }
    const later = write()
    later.headers.append('Nats-Schedule', `@at ${new Date(Math.ceil(deliverAt)).toISOString()}`)
    later.headers.append('Nats-Schedule-Target', subject)
    confirmations.post(names.delayed(name, partition, crypto.randomUUID()), () => later, told)
  }

  private cannotDelay({ stream }: Topic): UnsupportedError {
    const { schedules, version } = this.context
    return new UnsupportedError(
      schedules
        ? `stream ${stream} cannot delay messages: it was made without 'allow_msg_schedules'. Nothing was sent`
        : `the NATS server ${version} cannot delay messages: that needs 2.12 or later. Nothing was sent`,
    )
  }
}

/** By which the server knows it: what is kept until its time and what is sent then are two. */
function idOf({ message, deliverAt }: Outgoing, now: number): string {
  return deliverAt === undefined || deliverAt <= now ? message.id : `later-${message.id}`
}

interface Checked {
  readonly outgoing: Outgoing
  readonly topic: Topic
  /** Undefined: it is written when it is sent. */
  readonly wire: Wire | undefined
}

/** What headers take beside metadata, subject and key, generously. */
const USUAL = 1_024

/** Nothing about it can be refused when it is written: it is far from the limit, and has no text that the client would not take. */
function isSurelySent(
  { body, contentType, metadata, subject, key, type, source, id, time }: EncodedMessage,
  most: number,
): boolean {
  if (contentType !== 'application/json' || Number.isNaN(time.getTime()) || body instanceof Snapshot) return false
  // A character of a header is up to three bytes, of which each is percent-encoded; one of a body that is text up to three.
  let length = id.length + type.length + source.length + (subject?.length ?? 0) + (key?.length ?? 0)
  for (const name of Object.keys(metadata)) length += 2 * name.length + (metadata[name]?.length ?? 0) + 8
  return 3 * body.length + 9 * length + USUAL <= most
}

/** Resolves to what was not confirmed, by its index, once the fate of all is known. A promise for each would cost as much as sending it. */
function sendAll<T>(
  all: readonly T[],
  send: (one: T, told: (result?: Confirmed | Error) => void) => void,
): Promise<ReadonlyMap<number, Error>> {
  return new Promise((resolve) => {
    const errors = new Map<number, Error>()
    let left = all.length
    if (left === 0) resolve(errors)
    for (const [index, one] of all.entries()) {
      const told = (result?: Confirmed | Error): void => {
        if (result instanceof Error) errors.set(index, result)
        if (--left === 0) resolve(errors)
      }
      try {
        send(one, told)
      } catch (error) {
        told(error as Error)
      }
    }
  })
}

function tooLarge({ id, type }: Outgoing['message'], size: number, limit: number): MessageTooLargeError {
  return new MessageTooLargeError(
    `message ${id} (${type}) has ${size} bytes and nats takes ${limit}; nothing was sent. Send a reference to the data instead`,
  )
}
