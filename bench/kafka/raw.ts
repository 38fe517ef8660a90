import { Consumer, type Message as Incoming, type MessagesStream, ProduceAcks, Producer } from '@platformatic/kafka'
import type { Message } from 'busbar'
import { OrderPlaced } from '../busbar.ts'
import { type Payload, payloads } from '../payload.ts'
import { type Open, together } from '../subject.ts'
import { Tally } from '../tally.ts'
import { bootstrapBrokers, manager, prefixOf, remove } from './settings.ts'

/** As many as Busbar has by default. */
const PARTITIONS = 8
/** Messages handled and not committed at most: Busbar's window. */
const WINDOW = 100
/** Milliseconds after which what is handled is committed, where nothing more comes. */
const SOON = 5
const LATEST = -1n

type Stream = MessagesStream<Buffer, Buffer, Buffer, Buffer>

/**
 * What a hand-written consumer on the client of Kafka would do: the same CloudEvents, confirmed by all in-sync replicas, handled one after the other, and offsets committed after each window at the latest.
 */
export const open: Open = async (payloadBytes) => {
  const prefix = prefixOf(`raw-${payloadBytes}`)
  const admin = manager()
  const producer = new Producer({ clientId: 'raw', bootstrapBrokers, acks: ProduceAcks.ALL })
  const payload = payloads(payloadBytes)
  const tally = new Tally()
  const handler = async (_message: Payload): Promise<void> => tally.add()
  // One topic for all turns: after a new one the client's producer pauses for a second again and again.
  const topic = `${prefix}.events`
  await admin.createTopics({ topics: [topic], partitions: PARTITIONS, replicas: 1 })
  let turn = 0
  /** Where the group of this turn begins. */
  let places: { readonly topic: string; readonly partition: number; readonly offset: bigint }[] = []
  const record = (n: number) => {
    const message = OrderPlaced.create(payload(n))
    return {
      topic,
      key: Buffer.from(message.key ?? ''),
      value: Buffer.from(JSON.stringify(message.data)),
      headers: headersOf(message),
    }
  }
  let waiting: ReturnType<typeof record>[] = []
  let leaving: Promise<unknown> | undefined
  /** What is asked for in one turn leaves with one `send`: one for each is slower by far, and the client puts none together. */
  const one = (n: number): Promise<unknown> => {
    waiting.push(record(n))
    leaving ??= Promise.resolve().then(() => {
      const messages = waiting
      waiting = []
      leaving = undefined
      return producer.send({ messages })
    })
    return leaving
  }
  const batch = (from: number, count: number): Promise<unknown> =>
    producer.send({ messages: Array.from({ length: count }, (_, index) => record(from + index)) })

  let consumer: Consumer<Buffer, Buffer, Buffer, Buffer> | undefined
  let stream: Stream | undefined
  let reading: Promise<void> | undefined

  const read = async (from: Consumer<Buffer, Buffer, Buffer, Buffer>, incoming: Stream): Promise<void> => {
    const places = new Map<number, Incoming<Buffer, Buffer, Buffer, Buffer>>()
    let handled = 0
    let timer: NodeJS.Timeout | undefined
    const commit = async (): Promise<void> => {
      clearTimeout(timer)
      timer = undefined
      handled = 0
      const offsets = [...places.values()].map(({ topic: log, partition, offset, leaderEpoch }) => ({
        topic: log,
        partition,
        offset,
        leaderEpoch,
      }))
      places.clear()
      if (offsets.length > 0) await from.commit({ offsets })
    }
    for await (const message of incoming) {
      await handler(JSON.parse(message.value.toString()) as Payload)
      places.set(message.partition, message)
      if (++handled >= WINDOW) await commit()
      else timer ??= setTimeout(() => void commit(), SOON)
    }
    await commit()
  }
  const back = async (): Promise<void> => {
    consumer = new Consumer({ clientId: 'raw', groupId: `${prefix}.g${turn}`, bootstrapBrokers })
    stream = await consumer.consume({ topics: [topic], mode: 'manual', offsets: places, autocommit: false })
    reading = read(consumer, stream)
  }
  const away = async (): Promise<void> => {
    await stream?.close()
    await reading
    await consumer?.close(true)
    stream = consumer = undefined
    turn++
    const partitions = Array.from({ length: PARTITIONS }, (_, partitionIndex) => ({
      partitionIndex,
      timestamp: LATEST,
    }))
    const [ends] = await admin.listOffsets({ topics: [{ name: topic, partitions }] })
    places = (ends?.partitions ?? []).map(({ partitionIndex, offset }) => ({
      topic,
      partition: partitionIndex,
      offset,
    }))
  }
  await leadersOf(admin, topic)
  await away()
  await back()
  const close = async (): Promise<void> => {
    await stream?.close()
    await reading
    await consumer?.close(true)
    await producer.close()
    await remove(admin, prefix)
    await admin.close()
  }
  return { tally, one, window: together(one), batch, line: { away, back }, close }
}

/** The headers that Busbar writes: the attributes of a CloudEvents event. */
function headersOf({ id, type, source, time, kind, version, subject, key, metadata }: Message): Map<Buffer, Buffer> {
  const headers = new Map<Buffer, Buffer>()
  const set = (name: string, value: string): void => {
    headers.set(Buffer.from(name), Buffer.from(value))
  }
  set('content-type', 'application/json')
  set('ce_specversion', '1.0')
  set('ce_id', id)
  set('ce_type', type)
  set('ce_source', source)
  set('ce_time', time.toISOString())
  set('ce_kind', kind)
  set('ce_dataversion', String(version))
  if (subject !== undefined) set('ce_subject', subject)
  if (key !== undefined) set('ce_partitionkey', key)
  set('ce_correlationid', metadata.correlationId)
  return headers
}

/** A new topic is not led at once. */
async function leadersOf(admin: ReturnType<typeof manager>, topic: string): Promise<void> {
  for (;;) {
    const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true })
    const partitions = topics.get(topic)?.partitions ?? []
    if (partitions.length === PARTITIONS && partitions.every(({ leader }) => leader >= 0)) return
  }
}
