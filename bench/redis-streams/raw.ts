import { Redis } from 'ioredis'
import type { Message } from 'busbar'
import { OrderPlaced } from '../busbar.ts'
import { type Payload, payloads } from '../payload.ts'
import type { Open } from '../subject.ts'
import { Tally } from '../tally.ts'
import { empty, prefixOf, remove, url } from './settings.ts'

/** As many streams as Busbar has by default. */
const STREAMS = 16
/** Most entries in memory; Busbar has 100. */
const AHEAD = 112
/** Milliseconds that a read waits. */
const BLOCK = 50

/**
 * What a hand-written queue on ioredis would do: the same entries in as many streams, of which the key names one, each batch a
 * pipeline of XADD; one consumer of a group reads all streams at once, handles one message after the other, and acknowledges with
 * the next read.
 */
export const open: Open = async (payloadBytes) => {
  const prefix = prefixOf(`raw-${payloadBytes}`)
  const redis = new Redis(url)
  const reader = new Redis(url)
  const streams = Array.from({ length: STREAMS }, (_, n) => `{${prefix}}:${n}`)
  const payload = payloads(payloadBytes)
  const tally = new Tally()
  const handler = async (_message: Payload): Promise<void> => tally.add()
  const entry = (n: number): [string, '*', ...string[]] => {
    const message = OrderPlaced.create(payload(n))
    return [streams[streamOf(message.key ?? '')] as string, '*', ...fieldsOf(message)]
  }

  let group = 0
  let reading: Promise<void> | undefined
  let live = true
  const read = async (): Promise<void> => {
    const places = [...streams, ...streams.map(() => '>')]
    let done: (readonly [string, string[]])[] = []
    // Streams that the last read found something in share what may be in memory: keys do not fill all alike.
    let count = AHEAD / STREAMS
    for (let reads = live; reads || done.length > 0; reads = live) {
      const pipeline = reader.pipeline()
      for (const [stream, ids] of done) pipeline.xack(stream, `g${group}`, ...ids)
      if (reads) pipeline.xreadgroup('GROUP', `g${group}`, 'c', 'COUNT', count, 'BLOCK', BLOCK, 'STREAMS', ...places)
      const replies = (await pipeline.exec()) ?? []
      const failed = replies.find(([error]) => error !== null)?.[0]
      if (failed) throw failed
      done = reads ? await handle(replies.at(-1)?.[1] as Reply) : []
      count = Math.floor(AHEAD / Math.max(1, done.length))
    }
  }
  const handle = async (reply: Reply): Promise<(readonly [string, string[]])[]> => {
    const done: (readonly [string, string[]])[] = []
    for (const [stream, entries] of reply ?? []) {
      for (const [, fields] of entries) await handler(JSON.parse(fields.at(-1) as string) as Payload)
      done.push([stream, entries.map(([id]) => id)])
    }
    return done
  }
  const back = async (): Promise<void> => {
    live = true
    reading = read()
  }
  const away = async (): Promise<void> => {
    live = false
    await reading
    await empty(redis, prefix)
    group++
    await Promise.all(streams.map((stream) => redis.xgroup('CREATE', stream, `g${group}`, '$', 'MKSTREAM')))
    if (group > 1) await Promise.all(streams.map((stream) => redis.xgroup('DESTROY', stream, `g${group - 1}`)))
  }

  const batch = async (from: number, count: number): Promise<void> => {
    const pipeline = redis.pipeline()
    for (let n = from; n < from + count; n++) pipeline.xadd(...entry(n))
    const failed = (await pipeline.exec())?.find(([error]) => error !== null)
    if (failed?.[0]) throw failed[0]
  }
  await away()
  await back()
  return {
    tally,
    one: (n) => redis.xadd(...entry(n)),
    window: batch,
    batch,
    line: { away, back },
    close: async () => {
      live = false
      await reading
      await remove(redis, prefix)
      redis.disconnect()
      reader.disconnect()
    },
  }
}

/** One stream for all messages of a key. */
function streamOf(key: string): number {
  let hash = 0
  for (let at = 0; at < key.length; at++) hash = (Math.imul(hash, 31) + key.charCodeAt(at)) | 0
  return (hash >>> 0) % STREAMS
}

type Reply = readonly (readonly [string, readonly (readonly [string, readonly string[]])[]])[] | null

/** The fields that Busbar writes: the attributes of a CloudEvents event, then the data. */
function fieldsOf({ id, type, source, time, kind, version, subject, key, metadata, data }: Message): string[] {
  const fields = ['specversion', '1.0', 'id', id, 'type', type, 'source', source, 'time', time.toISOString()]
  fields.push('datacontenttype', 'application/json', 'kind', kind, 'dataversion', String(version))
  fields.push('subject', subject ?? '', 'partitionkey', key ?? '', 'correlationid', metadata.correlationId)
  fields.push('data', JSON.stringify(data))
  return fields
}
