import { type Outgoing, PublishError, UnsupportedError } from '../broker/index.ts'
import { MessageTooLargeError } from '../message/errors.ts'
import type { Asides } from './asides.ts'
import { HEADER_ROOM } from './connection.ts'
import type { Confirmed } from './confirmations.ts'
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
    const sent = sendAll(sends)
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

  /** Checks one message and makes what sends it; nothing is sent before all of a batch are checked. */
  private prepare({ topic: name, message, deliverAt, group }: Outgoing, now: number): Send {
    const { names, topology, headers, confirmations, nc } = this.context
    const size =
      typeof message.body === 'string' ? Buffer.byteLength(message.body) : (message.body as Uint8Array).byteLength
    if (size > this.limit) throw tooLarge(message, size, this.limit)
    const topic = topology.known(name) as Topic
    const partition = topology.partitionFor(topic, message.key)
    if (group !== undefined) {
      return (told) => {
        const publishing = this.asides.publish(group, topic, partition, message, deliverAt ?? now)
        publishing.then(
          () => told(undefined),
          (error) => told(explain(error, 'publish')),
        )
      }
    }
    const wire = toWire(message, headers)
    const { headers: set, data } = wire
    const total = sizeOf(wire)
    const most = (nc.info?.max_payload ?? Infinity) - HEADER_ROOM / 2
    if (total > most) throw tooLarge(message, total, most)
    const subject = names.log(name, partition)
    if (deliverAt === undefined || deliverAt <= now) {
      set.append(MESSAGE_ID, message.id)
      return (told) => confirmations.post(subject, data, set, told)
    }
    if (!topic.schedules) throw this.cannotDelay(topic)
    set.append(MESSAGE_ID, `later-${message.id}`)
    set.append('Nats-Schedule', `@at ${new Date(Math.ceil(deliverAt)).toISOString()}`)
    set.append('Nats-Schedule-Target', subject)
    const delayed = names.delayed(name, partition, crypto.randomUUID())
    return (told) => confirmations.post(delayed, data, set, told)
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

/** Sends one message, and says what became of it. */
type Send = (told: (result: Confirmed | Error | undefined) => void) => void

/** Resolves to what was not confirmed, by its index, once the fate of all is known. A promise for each would cost as much as sending it. */
function sendAll(sends: readonly Send[]): Promise<ReadonlyMap<number, Error>> {
  return new Promise((resolve) => {
    const errors = new Map<number, Error>()
    let left = sends.length
    if (left === 0) resolve(errors)
    for (const [index, send] of sends.entries()) {
      send((result) => {
        if (result instanceof Error) errors.set(index, result)
        if (--left === 0) resolve(errors)
      })
    }
  })
}

function tooLarge({ id, type }: Outgoing['message'], size: number, limit: number): MessageTooLargeError {
  return new MessageTooLargeError(
    `message ${id} (${type}) has ${size} bytes and nats takes ${limit}; nothing was sent. Send a reference to the data instead`,
  )
}
