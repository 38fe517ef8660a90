import { type ConsumerMessages, jetstream, type JsMsg } from '@nats-io/jetstream'
import { connect, createInbox, headers, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node'
import type { Message } from 'busbar'
import { OrderPlaced } from '../busbar.ts'
import { type Payload, payloads } from '../payload.ts'
import { type Open, together } from '../subject.ts'
import { Tally } from '../tally.ts'
import { manager, prefixOf, remove, url } from './settings.ts'

/** As many subjects as Busbar has by default. */
const SUBJECTS = 8
/** Messages in memory, as many as Busbar has by default. */
const AHEAD = 100

/**
 * What a hand-written queue on the client of NATS would do: the same CloudEvents in a stream with the same settings, each
 * confirmed by its PubAck; one durable consumer hands one message after the other to the handler, and acks each.
 */
export const open: Open = async (payloadBytes) => {
  const prefix = prefixOf(`raw-${payloadBytes}`)
  const stream = `${prefix}_log`
  const { jsm, close: disconnect } = await manager()
  await jsm.streams.add({
    name: stream,
    subjects: [`${prefix}.*`],
    storage: 'file',
    duplicate_window: 120_000_000_000,
    allow_direct: true,
  })
  // Without: two stack traces for every request.
  const nc = await connect({ servers: url, noAsyncTraces: true })
  const js = jetstream(nc)
  const confirmed = confirmations(nc)
  const payload = payloads(payloadBytes)
  const tally = new Tally()
  const handler = async (_message: Payload): Promise<void> => tally.add()
  const handlers = new Map([['OrderPlaced', handler]])
  let turn = 0
  const one = async (n: number): Promise<void> => {
    const message = OrderPlaced.create(payload(n))
    turn = (turn + 1) % SUBJECTS
    await confirmed(`${prefix}.${turn}`, JSON.stringify(message.data), headersOf(message))
  }

  let group = 0
  let messages: ConsumerMessages | undefined
  let reading: Promise<void> | undefined
  const read = async (incoming: AsyncIterable<JsMsg>): Promise<void> => {
    for await (const message of incoming) {
      await handlers.get(message.headers?.get('ce-type') ?? '')?.(message.json<Payload>())
      message.ack()
    }
  }
  const back = async (): Promise<void> => {
    const consumer = await js.consumers.get(stream, `g${group}`)
    messages = await consumer.consume({ max_messages: AHEAD })
    reading = read(messages)
  }
  const away = async (): Promise<void> => {
    await messages?.close()
    await reading
    await jsm.streams.purge(stream)
    group++
    await jsm.consumers.add(stream, { durable_name: `g${group}`, ack_policy: 'explicit', deliver_policy: 'new' })
    if (group > 1) await jsm.consumers.delete(stream, `g${group - 1}`)
  }
  await away()
  await back()
  const close = async (): Promise<void> => {
    await messages?.close()
    await reading
    await nc.close()
    await remove(jsm, prefix)
    await disconnect()
  }
  const batch = (from: number, count: number): unknown => together(one)(from, count)
  return { tally, one, window: together(one), batch, line: { away, back }, close }
}

/**
 * Publishes with one subscription for all answers, as the client for Go does it (`PublishAsync`): `publish` of this one makes
 * a request of its own for each message, with a timer, and is half as fast where many are on their way.
 */
function confirmations(nc: NatsConnection): (subject: string, data: string, headers: MsgHdrs) => Promise<void> {
  const inbox = createInbox()
  const waiting = new Map<string, PromiseWithResolvers<void>>()
  nc.subscribe(`${inbox}.*`, {
    callback: (_, answer) => {
      const token = answer.subject.slice(inbox.length + 1)
      const { error } = answer.json<{ error?: { description: string } }>()
      if (error === undefined) waiting.get(token)?.resolve()
      else waiting.get(token)?.reject(new Error(error.description))
      waiting.delete(token)
    },
  })
  let next = 0
  return (subject, data, set) => {
    const token = String(next++)
    const answer = Promise.withResolvers<void>()
    waiting.set(token, answer)
    nc.publish(subject, data, { headers: set, reply: `${inbox}.${token}` })
    return answer.promise
  }
}

/** The headers that Busbar writes: the attributes of a CloudEvents event, and the id by which the server knows what it has. */
function headersOf({ id, type, source, time, kind, version, subject, key, metadata }: Message): MsgHdrs {
  const set = headers()
  set.append('ce-specversion', '1.0')
  set.append('ce-id', id)
  set.append('ce-type', type)
  set.append('ce-source', source)
  set.append('ce-time', time.toISOString())
  set.append('ce-kind', kind)
  set.append('ce-dataversion', String(version))
  if (subject !== undefined) set.append('ce-subject', subject)
  if (key !== undefined) set.append('ce-partitionkey', key)
  set.append('ce-correlationid', metadata.correlationId)
  set.append('content-type', 'application/json')
  set.append('Nats-Msg-Id', id)
  return set
}
