import { type Outgoing, PublishError, UnsupportedError } from '../broker/index.ts'
import { MessageTooLargeError } from '../message/errors.ts'
import type { Asides } from './asides.ts'
import { HEADER_ROOM } from './connection.ts'
import type { NatsContext } from './context.ts'
import { explain } from './errors.ts'
import type { Topic } from './topology.ts'
import { sizeOf, toWire } from './wire.ts'

/** Within the duplicate window of a stream the same id is the same message. */
const MESSAGE_ID = 'Nats-Msg-Id'

/** Publishes batches: all messages of one leave at once, and each is confirmed by the server. */
export class Publisher {
  private readonly context: NatsContext
  private readonly asides: Asides
  private readonly limit: number
  private readonly underWay = new Set<Promise<unknown>>()

  constructor(context: NatsContext, asides: Asides, limit: number) {
    this.context = context
    this.asides = asides
    this.limit = limit
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    const { topology } = this.context
    // An earlier call that still makes its topics goes first.
    while (topology.making !== undefined) await topology.making.catch(() => {})
    const missing = batch.filter(({ topic }) => topology.known(topic) === undefined)
    if (missing.length > 0) await topology.ensure(missing.map(({ topic }) => topic))
    const now = Date.now()
    const sends = batch.map((outgoing) => this.prepare(outgoing, now))
    // From here to the last send nothing is awaited: the order of the calls is the order on the wire.
    const sent = Promise.allSettled(sends.map((send) => send()))
    this.underWay.add(sent)
    const results = await sent
    this.underWay.delete(sent)
    const failed = results.flatMap((result, index) =>
      result.status === 'fulfilled'
        ? []
        : [{ index, id: batch[index]?.message.id ?? '', error: explain(result.reason, 'publish') }],
    )
    if (failed.length > 0) throw new PublishError(failed, batch.length)
  }

  /** Resolves when nothing is on its way any more. */
  async idle(): Promise<void> {
    await Promise.all(this.underWay)
  }

  /** Checks one message and makes what sends it; nothing is sent before all of a batch are checked. */
  private prepare({ topic: name, message, deliverAt, group }: Outgoing, now: number): () => Promise<unknown> {
    const { names, topology, headers, confirmations, nc } = this.context
    const size =
      typeof message.body === 'string' ? Buffer.byteLength(message.body) : (message.body as Uint8Array).byteLength
    if (size > this.limit) throw tooLarge(message, size, this.limit)
    const topic = topology.known(name) as Topic
    const partition = topology.partitionFor(topic, message.key)
    if (group !== undefined) {
      return () => this.asides.publish(group, topic, partition, message, deliverAt ?? now)
    }
    const wire = toWire(message, headers)
    const { headers: set, data } = wire
    const total = sizeOf(wire)
    const most = (nc.info?.max_payload ?? Infinity) - HEADER_ROOM / 2
    if (total > most) throw tooLarge(message, total, most)
    const subject = names.log(name, partition)
    if (deliverAt === undefined || deliverAt <= now) {
      set.append(MESSAGE_ID, message.id)
      return () => confirmations.send(subject, data, set)
    }
    if (!topic.schedules) throw this.cannotDelay(topic)
    set.append(MESSAGE_ID, `later-${message.id}`)
    set.append('Nats-Schedule', `@at ${new Date(Math.ceil(deliverAt)).toISOString()}`)
    set.append('Nats-Schedule-Target', subject)
    return () => confirmations.send(names.delayed(name, partition, crypto.randomUUID()), data, set)
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

function tooLarge({ id, type }: Outgoing['message'], size: number, limit: number): MessageTooLargeError {
  return new MessageTooLargeError(
    `message ${id} (${type}) has ${size} bytes and nats takes ${limit}; nothing was sent. Send a reference to the data instead`,
  )
}
