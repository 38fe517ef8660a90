import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { silent } from './fixtures/messages.ts'
import { Names } from './names.ts'
import { OwnedPartition, type PartitionHost } from './partition.ts'
import { Window } from './window.ts'

test('a member to which nothing of a partition ever came writes nothing about it: it may be another member’s still', async () => {
  const looked: string[] = []
  const written: unknown[] = []
  const channel = Object.assign(new EventEmitter(), {
    prefetch: async () => {},
    consume: async () => {},
    checkQueue: async (queue: string) => void looked.push(queue),
    close: async () => {},
  })
  const touch = (...args: unknown[]): never => {
    written.push(args)
    throw new Error('nothing was to be written')
  }
  const host = {
    context: {
      names: new Names('p'),
      logger: silent,
      consuming: { channel: async () => channel },
      publishing: { channel: touch },
      sender: { send: touch, sendAlone: touch },
    },
    group: 'g',
    window: new Window(10, () => ({ ack: true })),
    credit: 10,
    settled: () => {},
    lost: () => {},
  } as unknown as PartitionHost
  const partition = new OwnedPartition(host, { name: 'orders', exchange: 'p:orders', partitions: 1 }, 0)
  await partition.take()
  await partition.leave()
  expect(looked).toEqual(['p:orders:g:0', 'p:orders:g:0'])
  expect(written).toEqual([])
})
