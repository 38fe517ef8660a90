import type { Channel, ConfirmChannel, ConsumeMessage } from 'amqplib'
import type { Message } from 'busbar'
import { OrderPlaced } from '../busbar.ts'
import { type Payload, payloads } from '../payload.ts'
import { type Open, together } from '../subject.ts'
import { Tally } from '../tally.ts'
import { connected, prefixOf } from './settings.ts'

/** As many queues as Busbar has by default. */
const QUEUES = 8
/** Messages in memory, as many as Busbar has by default. */
const AHEAD = 100
const QUORUM = { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000, 'x-single-active-consumer': true }

/**
 * What a hand-written queue on amqplib would do: the same CloudEvents through a topic exchange into quorum queues with the same
 * settings, persistent, mandatory, each confirmed; a consumer of each queue hands one message after the other to the handler, and acks each.
 */
export const open: Open = async (payloadBytes) => {
  const prefix = prefixOf(`raw-${payloadBytes}`)
  const queues = Array.from({ length: QUEUES }, (_, n) => `${prefix}:${n}`)
  const publishing = await connected()
  const consuming = await connected()
  const channel: ConfirmChannel = await publishing.createConfirmChannel()
  await channel.assertExchange(prefix, 'topic', { durable: true })
  for (const [n, queue] of queues.entries()) {
    await channel.assertQueue(queue, { durable: true, arguments: QUORUM })
    await channel.bindQueue(queue, prefix, String(n))
  }
  const payload = payloads(payloadBytes)
  const tally = new Tally()
  const handler = async (_message: Payload): Promise<void> => tally.add()
  let turn = 0
  const one = (n: number): Promise<void> => {
    const message = OrderPlaced.create(payload(n))
    turn = (turn + 1) % QUEUES
    const content = Buffer.from(JSON.stringify(message.data))
    const options = {
      persistent: true,
      mandatory: true,
      contentType: 'application/json',
      messageId: message.id,
      headers: headersOf(message),
    }
    return new Promise((resolve, reject) => {
      const done = (error: unknown): void => (error === null ? resolve() : reject(error))
      channel.publish(prefix, String(turn), content, options, done)
    })
  }

  let reader: Channel | undefined
  let reading: Promise<void> = Promise.resolve()
  const back = async (): Promise<void> => {
    const mine = await consuming.createChannel()
    reader = mine
    await mine.prefetch(AHEAD)
    const handle = async (received: ConsumeMessage): Promise<void> => {
      await handler(JSON.parse(received.content.toString()) as Payload)
      if (reader === mine) mine.ack(received)
    }
    for (const queue of queues) {
      await mine.consume(queue, (received) => {
        if (received !== null) reading = reading.then(() => handle(received))
      })
    }
  }
  const leave = async (): Promise<void> => {
    const mine = reader
    reader = undefined
    await reading
    await mine?.close()
  }
  const away = async (): Promise<void> => {
    await leave()
    for (const queue of queues) await channel.purgeQueue(queue)
  }
  await back()
  const close = async (): Promise<void> => {
    await leave()
    for (const queue of queues) await channel.deleteQueue(queue)
    await channel.deleteExchange(prefix)
    await publishing.close()
    await consuming.close()
  }
  const batch = (from: number, count: number): unknown => together(one)(from, count)
  return { tally, one, window: together(one), batch, line: { away, back }, close }
}

/** The headers that Busbar writes: the attributes of a CloudEvents event. */
function headersOf({ id, type, source, time, kind, version, subject, key, metadata }: Message): Record<string, string> {
  const headers: Record<string, string> = {
    'cloudEvents:specversion': '1.0',
    'cloudEvents:id': id,
    'cloudEvents:type': type,
    'cloudEvents:source': source,
    'cloudEvents:time': time.toISOString(),
    'cloudEvents:kind': kind,
    'cloudEvents:dataversion': String(version),
    'cloudEvents:correlationid': metadata.correlationId,
  }
  if (subject !== undefined) headers['cloudEvents:subject'] = subject
  if (key !== undefined) headers['cloudEvents:partitionkey'] = key
  return headers
}
