import { type Job, Queue, Worker } from 'bullmq'
import type { Message } from 'busbar'
import { Redis } from 'ioredis'
import { OrderPlaced } from '../busbar.ts'
import { type Payload, payloads } from '../payload.ts'
import { type Open, together } from '../subject.ts'
import { Tally } from '../tally.ts'
import { prefixOf, remove, url } from './settings.ts'

/** Jobs in memory, as many as Busbar has by default. */
const AHEAD = 100

/**
 * What is done is gone, what failed stays, and every job has a priority, since one without would go before all that have one: as Busbar
 * has it.
 */
const KEEP = { attempts: 1, removeOnComplete: true, removeOnFail: false, priority: 3 } as const

interface Data {
  readonly attributes: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * What a program on BullMQ itself would do: the same CloudEvents as the data of jobs, one queue, and a worker with a hundred
 * jobs at once that parses each, awaits the handler, and completes each.
 */
export const open: Open = async (payloadBytes) => {
  const prefix = prefixOf(`raw-${payloadBytes}`)
  const adding = new Redis(url, { maxRetriesPerRequest: null })
  const working = new Redis(url, { maxRetriesPerRequest: null })
  const queue = new Queue<Data>('billing', { connection: adding, prefix })
  const payload = payloads(payloadBytes)
  const tally = new Tally()
  const handler = async (_message: Payload): Promise<void> => tally.add()
  const process = async ({ data }: Job<Data>): Promise<void> => handler(JSON.parse(data.body) as Payload)

  const one = async (n: number): Promise<void> => {
    const message = OrderPlaced.create(payload(n))
    await queue.add(message.type, dataOf(message), KEEP)
  }
  const batch = async (from: number, count: number): Promise<void> => {
    const jobs = Array.from({ length: count }, (_, index) => {
      const message = OrderPlaced.create(payload(from + index))
      return { name: message.type, data: dataOf(message), opts: KEEP }
    })
    await queue.addBulk(jobs)
  }

  let worker: Worker<Data> | undefined
  const back = async (): Promise<void> => {
    worker = new Worker<Data>('billing', process, { connection: working, prefix, concurrency: AHEAD })
    await worker.waitUntilReady()
  }
  const away = async (): Promise<void> => {
    await worker?.close()
    await queue.drain(true)
  }
  await back()
  const close = async (): Promise<void> => {
    await worker?.close()
    await queue.close()
    await remove(adding, prefix)
    adding.disconnect()
    working.disconnect()
  }
  return { tally, one, window: together(one), batch, line: { away, back }, close }
}

/** What Busbar writes: the attributes of a CloudEvents event, and the body. */
function dataOf({ id, type, source, time, kind, version, subject, key, metadata, data }: Message): Data {
  const attributes: Record<string, string> = {
    specversion: '1.0',
    id,
    type,
    source,
    time: time.toISOString(),
    datacontenttype: 'application/json',
    kind,
    dataversion: String(version),
    correlationid: metadata.correlationId,
  }
  if (subject !== undefined) attributes['subject'] = subject
  if (key !== undefined) attributes['partitionkey'] = key
  return { attributes, body: JSON.stringify(data) }
}
