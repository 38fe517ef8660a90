import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { MemoryEventStorage } from '../memory/index.ts'
import { event } from '../message/index.ts'
import type { ReadAllOptions, StoredEvent } from '../store/index.ts'
import { collectingLogger } from '../testing/index.ts'
import { UnreadableEventError } from './errors.ts'
import { EventStore } from './event-store.ts'
import { OrderPaid, OrderPlaced, orderStore } from './fixtures/orders.ts'

const at = new Date()
const placed = (total: number) => OrderPlaced.create({ total })

test('a subscription catches up and goes on live: no gap and no duplicate while others append', async () => {
  const store = orderStore()
  const COUNT = 500
  const writing = (async () => {
    for (let n = 0; n < COUNT; n++) {
      await store.append(`order-${n % 7}`, placed(n))
      if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  await store.append('order-x', placed(-1))
  const seen: string[] = []
  const subscription = await store.subscribe({}, async ({ event, position }) => {
    if (seen.length % 90 === 0) await new Promise((resolve) => setImmediate(resolve))
    seen.push(event.id)
    expect(position > subscription.position).toBe(true)
  })
  await writing
  await expect.poll(() => seen.length, { timeout: 30_000 }).toBe(COUNT + 1)
  const inStore: string[] = []
  for await (const { event } of store.readAll()) inStore.push(event.id)
  expect(seen).toEqual(inStore)
  expect(await subscription.stop()).toEqual({ position: (await store.head()).position })
})

test('it begins after a position, and hands out only the types and categories that were asked for', async () => {
  const store = orderStore()
  await store.append('order-1', [placed(1), OrderPaid.create({ at })])
  const { position } = await store.head()
  const seen: string[] = []
  const spec = { after: position, types: [OrderPlaced], categories: ['order'] }
  const subscription = await store.subscribe(spec, ({ stream, event }) => void seen.push(`${stream} ${event.type}`))
  await store.append('order-1', [OrderPaid.create({ at }), placed(2)])
  await store.append('refund-1', placed(3))
  await expect.poll(() => seen).toEqual(['order-1 OrderPlaced'])
  // What nobody asked for is passed over.
  const head = (await store.head()).position
  await expect.poll(() => subscription.position).toBe(head)
  await subscription.stop()
})

test('a handler that throws ends it before its event; another one goes on from there', async () => {
  const storage = new MemoryEventStorage()
  const logger = collectingLogger()
  const store = new EventStore(storage, { contracts: [OrderPlaced], logger })
  await store.append('order-1', [placed(1), placed(2), placed(3)])
  const seen: number[] = []
  const boom = new Error('boom')
  const first = await store.subscribe({}, (recorded) => {
    if (recorded.revision === 1) throw boom
    seen.push(recorded.revision)
  })
  const end = await first.ended
  expect(end.error).toBe(boom)
  expect(end.position).toBe(first.position)
  await store.append('order-1', placed(4))
  expect(logger.lines().map(({ level }) => level)).toEqual(['error'])
  const second = await store.subscribe({ after: end.position }, ({ revision }) => void seen.push(revision))
  await expect.poll(() => seen).toEqual([0, 1, 2, 3])
  await second.stop()
})

test('an event that cannot be read ends it with its place', async () => {
  const storage = new MemoryEventStorage()
  const loose = event('OrderPlaced', z.object({ total: z.any() }))
  await new EventStore(storage, { contracts: [loose] }).append('order-1', loose.create({ total: 'much' }))
  const store = new EventStore(storage, { contracts: [OrderPlaced], logger: collectingLogger() })
  const { ended } = await store.subscribe({}, () => {})
  const { error } = await ended
  expect(error).toBeInstanceOf(UnreadableEventError)
  expect(error).toMatchObject({ stream: 'order-1', revision: 0 })
})

test('a storage that cannot be read for a while is read again, and nothing is lost', async () => {
  class Failing extends MemoryEventStorage {
    failures = 2
    override async *readAll(options?: ReadAllOptions): AsyncGenerator<StoredEvent> {
      let read = 0
      for await (const stored of super.readAll(options)) {
        if (read++ === 1 && this.failures-- > 0) throw new Error('connection lost')
        yield stored
      }
    }
  }
  const logger = collectingLogger()
  const store = new EventStore(new Failing(), { contracts: [OrderPlaced], logger })
  await store.append('order-1', [placed(1), placed(2), placed(3), placed(4)])
  const seen: number[] = []
  const subscription = await store.subscribe({}, ({ revision }) => void seen.push(revision))
  await expect.poll(() => seen, { timeout: 30_000 }).toEqual([0, 1, 2, 3])
  await subscription.stop()
  expect(logger.lines().map(({ text }) => text)).toContain('an event subscription cannot read; it tries again')
})

describe('ending', () => {
  test('stop waits for the handler that runs, and nothing comes after it', async () => {
    const store = orderStore()
    await store.append('order-1', [placed(1), placed(2)])
    const seen: number[] = []
    let release = (): void => {}
    const subscription = await store.subscribe({}, async ({ revision }) => {
      await new Promise<void>((resolve) => {
        release = resolve
      })
      seen.push(revision)
    })
    await new Promise((resolve) => setImmediate(resolve))
    let stopped = false
    const stopping = subscription.stop().then(() => (stopped = true))
    await new Promise((resolve) => setImmediate(resolve))
    expect(stopped).toBe(false)
    release()
    await stopping
    expect(seen).toEqual([0])
    expect(subscription.position).not.toBe((await store.head()).position)
  })

  test('a signal ends it, also from within the handler, and one that is aborted already at once', async () => {
    const store = orderStore()
    await store.append('order-1', [placed(1), placed(2)])
    const control = new AbortController()
    const seen: number[] = []
    const handler = ({ revision }: { revision: number }): void => {
      seen.push(revision)
      control.abort()
    }
    const { ended } = await store.subscribe({}, handler, { signal: control.signal })
    expect(await ended).not.toHaveProperty('error')
    expect((await (await store.subscribe({}, handler, { signal: control.signal })).ended).position).toBe('')
    expect(seen).toEqual([0])
  })

  test('the store’s stop ends them all', async () => {
    const store = orderStore()
    const { ended } = await store.subscribe({}, () => {})
    await store.stop()
    expect(await ended).toEqual({ position: '' })
    await expect(store.head()).rejects.toThrow(/was stopped/)
  })
})

test('what a handler appends is caused by the event', async () => {
  const store = orderStore()
  const first = placed(1)
  await store.append('order-1', first)
  const subscription = await store.subscribe({ types: [OrderPlaced] }, async () => {
    await store.append('order-1', OrderPaid.create({ at }))
  })
  await expect.poll(async () => (await store.getEvents('order-1'))[1]?.metadata.causationId).toBe(first.id)
  await subscription.stop()
})
