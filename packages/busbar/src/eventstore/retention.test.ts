import { describe, expect, test } from 'vitest'
import { MemoryEventStorage } from '../memory/index.ts'
import { event, typed } from '../message/index.ts'
import { createFakeClock } from '../testing/index.ts'
import { TruncationError } from './errors.ts'
import { EventStore } from './event-store.ts'
import type { Retention } from './options.ts'

const Measured = event('Measured', typed<{ n: number }>())
const measured = (n: number) => Measured.create({ n })

async function filled(retention: Readonly<Record<string, Retention>> = {}) {
  const clock = createFakeClock()
  const store = new EventStore(new MemoryEventStorage({ clock }), { clock, retention })
  for (let n = 0; n < 5; n++) {
    await store.append('heat-1', measured(n))
    await clock.advance(1_000)
  }
  return store
}

const kept = async (store: EventStore, stream: string) => (await store.getEvents(stream)).map((each) => each.revision)

describe('truncateBefore', () => {
  test('needs a snapshot that holds what is forgotten', async () => {
    const store = await filled()
    await expect(store.truncateBefore('heat-1', 3)).rejects.toThrow(/name the snapshot/)
    await expect(store.truncateBefore('heat-1', 3, { snapshot: 1 })).rejects.toThrow(/before 2 at most/)
    await expect(store.truncateBefore('heat-1', -1, { snapshot: 1 })).rejects.toThrow(TruncationError)
    expect(await kept(store, 'heat-1')).toEqual([0, 1, 2, 3, 4])
    expect(await store.truncateBefore('heat-1', 3, { snapshot: 2 })).toBe(3)
    expect(await kept(store, 'heat-1')).toEqual([3, 4])
    expect(await store.info('heat-1')).toMatchObject({ first: 3, revision: 4 })
  })

  test('of a source of truth asks whether that snapshot is really there', async () => {
    const store = await filled()
    let snapshot: number | undefined
    store.sourceOfTruth('heat', async () => snapshot)
    await expect(store.truncateBefore('heat-1', 3, { snapshot: 2 })).rejects.toThrow(/no snapshot that could be used/)
    snapshot = 1
    await expect(store.truncateBefore('heat-1', 3, { snapshot: 2 })).rejects.toThrow(/revision 1: trim before 2/)
    snapshot = 2
    expect(await store.truncateBefore('heat-1', 3, { snapshot: 2 })).toBe(3)
  })

  test('of a source of truth needs a snapshot of everyone who loads from it', async () => {
    const store = await filled()
    const keeper = {}
    store.sourceOfTruth('heat', async () => 4)
    store.sourceOfTruth('heat', async () => 1, keeper)
    await expect(store.truncateBefore('heat-1', 3, { snapshot: 4 })).rejects.toThrow(/revision 1/)
    store.sourceOfTruth('heat', async () => 3, keeper)
    expect(await store.truncateBefore('heat-1', 3, { snapshot: 4 })).toBe(3)
  })

  test('of a source of truth without snapshots is refused', async () => {
    const store = await filled()
    store.sourceOfTruth('heat')
    await expect(store.truncateBefore('heat-1', 3, { snapshot: 9 })).rejects.toThrow(/keeps no snapshots/)
  })
})

describe('retention', () => {
  test('forgets by age and by count, never the last event, and nothing of other categories', async () => {
    const old = await filled({ heat: { maxAge: 2_500 } })
    await old.append('cold-1', measured(1))
    expect(await old.retain()).toBe(3)
    expect(await kept(old, 'heat-1')).toEqual([3, 4])
    expect(await kept(old, 'cold-1')).toEqual([0])
    const many = await filled({ heat: { maxEvents: 2, maxAge: 100_000 } })
    expect(await many.retain()).toBe(3)
    const all = await filled({ heat: { maxAge: 0 } })
    expect(await all.retain()).toBe(4)
    expect((await all.append('heat-1', measured(9))).revision).toBe(5)
  })

  test('of a source of truth is refused', async () => {
    const store = await filled({ heat: { maxAge: 1 } })
    expect(() => store.sourceOfTruth('heat')).toThrow(/has a retention for it/)
  })

  test('is applied by itself while the store runs', async () => {
    const clock = createFakeClock()
    const retention = { heat: { maxEvents: 1 } }
    const store = new EventStore(new MemoryEventStorage({ clock }), { clock, retention, retentionInterval: 5 })
    await store.start()
    await store.append('heat-1', [measured(1), measured(2)])
    await expect.poll(() => kept(store, 'heat-1'), { timeout: 30_000 }).toEqual([1])
    await store.stop()
  })

  test.each([
    [{}, /says nothing/],
    [{ maxAge: -1 }, /maxAge must be 0 or more/],
    [{ maxEvents: 0 }, /maxEvents must be a whole number from 1/],
  ])('%j is refused', (wrong, message) => {
    expect(() => new EventStore(new MemoryEventStorage(), { retention: { heat: wrong } })).toThrow(message)
  })
})
