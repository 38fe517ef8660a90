import type { PostgresEventStorage } from 'busbar/postgres'
import { uuidv7 } from 'busbar/message'
import type { StoreSubject } from './measures.ts'

/** What a storage is asked here; every one of Busbar's can. */
export type Storage = Pick<PostgresEventStorage, 'append' | 'readStream' | 'stop'>

type NewEvent = Parameters<Storage['append']>[0][number]['events'][number]

export const DATA = { orderId: 'order-1', amount: 42, note: 'x'.repeat(24) }
export const BODY = JSON.stringify(DATA)

function eventOf(stream: string): NewEvent {
  const id = uuidv7()
  return {
    topic: 'events',
    message: {
      id,
      type: 'OrderPlaced',
      kind: 'event',
      source: 'bench',
      key: stream,
      time: new Date(),
      version: 1,
      metadata: { correlationId: id },
      contentType: 'application/json',
      body: BODY,
    },
  }
}

export function busbar(storage: Storage): StoreSubject {
  return {
    append: (stream, count) => {
      const events = Array.from({ length: count }, () => eventOf(stream))
      return storage.append([{ stream, events, expected: 'none' }])
    },
    read: async (stream) => {
      let count = 0
      for await (const { message } of storage.readStream(stream)) {
        JSON.parse(message.body as string)
        count++
      }
      return count
    },
    close: () => storage.stop(),
  }
}
