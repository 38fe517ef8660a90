import { Redis } from 'ioredis'
import type { Message } from 'busbar'
import { OrderPlaced } from '../busbar.ts'
import { type Payload, payloads } from '../payload.ts'
import type { Open } from '../subject.ts'
import { Tally } from '../tally.ts'
import { prefixOf, url } from './settings.ts'

/**
 * What a program on ioredis itself would do: CloudEvents on one channel, each batch a pipeline of PUBLISH; a connection that
 * listens parses each and calls the handler.
 */
export const open: Open = async (payloadBytes) => {
  const channel = prefixOf(`raw-${payloadBytes}`)
  const redis = new Redis(url)
  const listening = new Redis(url)
  const payload = payloads(payloadBytes)
  const tally = new Tally()
  const handler = async (_message: Payload): Promise<void> => tally.add()
  listening.on('message', (_channel: string, text: string) => {
    void handler(JSON.parse(text.slice(text.indexOf('\n') + 1)) as Payload)
  })
  const written = (n: number): string => textOf(OrderPlaced.create(payload(n)))
  const batch = async (from: number, count: number): Promise<void> => {
    const pipeline = redis.pipeline()
    for (let n = from; n < from + count; n++) pipeline.publish(channel, written(n))
    const failed = (await pipeline.exec())?.find(([error]) => error !== null)
    if (failed?.[0]) throw failed[0]
  }
  const back = async (): Promise<void> => void (await listening.subscribe(channel))
  const away = async (): Promise<void> => void (await listening.unsubscribe(channel))
  await back()
  return {
    tally,
    one: (n) => redis.publish(channel, written(n)),
    window: batch,
    batch,
    line: { away, back, forgets: true },
    close: async () => {
      redis.disconnect()
      listening.disconnect()
    },
  }
}

/** What Busbar writes: a line with the attributes of a CloudEvents event, then the data. */
function textOf({ id, type, source, time, kind, version, subject, key, metadata, data }: Message): string {
  const attributes = {
    specversion: '1.0',
    id,
    type,
    source,
    time: time.toISOString(),
    datacontenttype: 'application/json',
    kind,
    dataversion: String(version),
    subject,
    partitionkey: key,
    correlationid: metadata.correlationId,
  }
  return `${JSON.stringify(attributes)}\n${JSON.stringify(data)}`
}
