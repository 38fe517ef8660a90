import { describe, expect, test } from 'vitest'
import { MessageTooLargeError, uuidv7 } from '../message/index.ts'
import {
  AppendError,
  BEGINNING,
  ConcurrencyError,
  DuplicateEventError,
  type Expected,
  type NewEvent,
  type StoredEvent,
  StreamDeletedError,
} from '../store/index.ts'
import { MemoryEventStorage } from './event-storage.ts'

function events(count: number, more: Partial<NewEvent['message']> = {}): NewEvent[] {
  return Array.from({ length: count }, (_, n) => {
    const id = uuidv7()
    const message = { id, type: 'Happened', kind: 'event', source: 'test', time: new Date(), version: 1 } as const
    const metadata = { correlationId: id }
    return {
      topic: 'events',
      message: { ...message, metadata, contentType: 'application/json', body: `${n}`, ...more },
    }
  })
}

async function all(read: AsyncIterable<StoredEvent>): Promise<readonly StoredEvent[]> {
  const events: StoredEvent[] = []
  for await (const event of read) events.push(event)
  return events
}

const revisions = async (read: AsyncIterable<StoredEvent>): Promise<readonly number[]> =>
  (await all(read)).map(({ revision }) => revision)

describe('an append', () => {
  test.each<[Expected, number, boolean]>([
    ['any', 0, true],
    ['any', 2, true],
    ['none', 0, true],
    ['none', 1, false],
    ['exists', 0, false],
    ['exists', 1, true],
    [0, 0, false],
    [0, 1, true],
    [1, 1, false],
    [0, 2, false],
    [1, 2, true],
  ])('that expects %s of a stream of %i events: %s', async (expected, count, isRight) => {
    const store = new MemoryEventStorage()
    if (count > 0) await store.append([{ stream: 's-1', events: events(count), expected: 'any' }])
    const appending = store.append([{ stream: 's-1', events: events(1), expected }])
    if (isRight) await expect(appending).resolves.toMatchObject([{ revision: count, repeated: false }])
    else await expect(appending).rejects.toThrow(ConcurrencyError)
    expect((await store.info('s-1')).revision).toBe(isRight ? count : count - 1)
  })

  test('tells in its error both revisions and what to do', async () => {
    const store = new MemoryEventStorage()
    await store.append([{ stream: 's-1', events: events(3), expected: 'none' }])
    const error = await store
      .append([{ stream: 's-1', events: events(1), expected: 1 }])
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ stream: 's-1', expected: 1, actual: 2 })
    expect(String(error)).toMatch(/expected at revision 1 and is at revision 2: load it again/)
  })

  test('of the same events again is a repetition, whatever is expected; of other ids among them it is refused', async () => {
    const store = new MemoryEventStorage()
    const [first, second, third] = [events(2), events(1), events(1)]
    const [before] = await store.append([{ stream: 's-1', events: first, expected: 'none' }])
    await store.append([{ stream: 's-1', events: second, expected: 1 }])
    const [again] = await store.append([{ stream: 's-1', events: first, expected: 'none' }])
    expect(again).toEqual({ ...before, repeated: true })
    for (const wrong of [first.toReversed(), [...first, ...third], [...third, ...second]]) {
      const append = { stream: 's-1', events: wrong, expected: 'any' } as const
      await expect(store.append([append])).rejects.toThrow(DuplicateEventError)
    }
    await expect(store.append([{ stream: 's-2', events: first, expected: 'any' }])).rejects.toThrow(DuplicateEventError)
    expect(await revisions(store.readAll())).toEqual([0, 1, 2])
  })

  test('to several streams is all or nothing', async () => {
    const store = new MemoryEventStorage()
    await store.append([{ stream: 'a-1', events: events(1), expected: 'none' }])
    const both = (expected: Expected) => [
      { stream: 'b-1', events: events(2), expected: 'none' } as const,
      { stream: 'a-1', events: events(1), expected },
    ]
    await expect(store.append(both('none'))).rejects.toThrow(ConcurrencyError)
    expect((await store.info('b-1')).revision).toBe(-1)
    await expect(store.append(both(0))).resolves.toMatchObject([{ revision: 1 }, { revision: 1 }])
  })

  test.each<[string, unknown, RegExp]>([
    ['nothing', [], /names no stream/],
    ['no events', [{ stream: 's', events: [], expected: 'any' }], /has no events/],
    ['an empty name', [{ stream: '', events: events(1), expected: 'any' }], /1 to 512 characters/],
    ['a name with a line break', [{ stream: 'a\nb', events: events(1), expected: 'any' }], /control characters/],
    [
      'a wrong revision',
      [{ stream: 's', events: events(1), expected: -1 }],
      /'expected' of stream 's' must be .* not '-1'/,
    ],
    ['half a revision', [{ stream: 's', events: events(1), expected: 0.5 }], /whole number/],
    ['another word', [{ stream: 's', events: events(1), expected: 'some' }], /not 'some'/],
    ['an object', [{ stream: 's', events: events(1), expected: {} }], /not that/],
    [
      'one stream twice',
      [
        { stream: 's', events: events(1), expected: 'any' },
        { stream: 's', events: events(1), expected: 'any' },
      ],
      /named twice/,
    ],
    ['an id twice', [{ stream: 's', events: events(2, { id: uuidv7() }), expected: 'any' }], /given twice/],
  ])('of %s is refused, and nothing is written', async (_what, appends, words) => {
    const store = new MemoryEventStorage()
    const refused = store.append(appends as Parameters<MemoryEventStorage['append']>[0])
    await expect(refused).rejects.toThrow(AppendError)
    await expect(refused).rejects.toThrow(words)
    expect(await store.head()).toEqual({ position: BEGINNING, count: 0 })
  })

  test('over the size limit is refused, with the others of its call', async () => {
    const store = new MemoryEventStorage({ maxEventBytes: 10 })
    const batch = [...events(1), ...events(1, { body: 'x'.repeat(11) })]
    await expect(store.append([{ stream: 's', events: batch, expected: 'any' }])).rejects.toThrow(MessageTooLargeError)
    expect((await store.info('s')).revision).toBe(-1)
  })

  test('of two at once on the same revision has one winner, and no revision is missing', async () => {
    const store = new MemoryEventStorage()
    const racing = [1, 2].map(() => store.append([{ stream: 's', events: events(2), expected: 'none' }]))
    const outcomes = await Promise.allSettled(racing)
    expect(outcomes.map(({ status }) => status).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'fulfilled',
      'rejected',
    ])
    expect(await revisions(store.readStream('s'))).toEqual([0, 1])
  })
})

describe('reading', () => {
  async function filled(): Promise<MemoryEventStorage> {
    const store = new MemoryEventStorage()
    for (let n = 0; n < 3; n++) {
      await store.append([{ stream: 'order-1', events: events(2, { type: 'Placed' }), expected: 'any' }])
      await store.append([
        { stream: 'user-1', events: events(1, { metadata: { correlationId: 'c' } }), expected: 'any' },
      ])
    }
    return store
  }

  test.each([
    [{}, [0, 1, 2, 3, 4, 5]],
    [{ from: 2 }, [2, 3, 4, 5]],
    [{ from: 2, to: 3 }, [2, 3]],
    [{ limit: 2 }, [0, 1]],
    [{ direction: 'backwards' }, [5, 4, 3, 2, 1, 0]],
    [{ direction: 'backwards', from: 3, to: 1 }, [3, 2, 1]],
    [{ direction: 'backwards', from: 3, limit: 1 }, [3]],
    [{ from: 9 }, []],
  ] as const)('a stream with %j', async (options, expected) => {
    expect(await revisions((await filled()).readStream('order-1', options))).toEqual(expected)
  })

  test('all in one order, by type, category, correlation and in pages', async () => {
    const store = await filled()
    const whole = await all(store.readAll())
    expect(whole.map(({ stream, revision }) => `${stream}@${revision}`).slice(0, 4)).toEqual([
      'order-1@0',
      'order-1@1',
      'user-1@0',
      'order-1@2',
    ])
    const positions = whole.map(({ position }) => position)
    expect(positions).toEqual(positions.toSorted((a, b) => (a < b ? -1 : 1)))
    expect(await all(store.readAll({ types: ['Placed'] }))).toHaveLength(6)
    expect(await all(store.readAll({ categories: ['user'] }))).toHaveLength(3)
    expect(await all(store.readAll({ categories: ['user'], types: ['Placed'] }))).toEqual([])
    expect(await all(store.readByCorrelation('c'))).toHaveLength(3)
    const paged: StoredEvent[] = []
    for (let after = BEGINNING; ; after = paged.at(-1)?.position ?? BEGINNING) {
      const page = await all(store.readAll({ after, limit: 4 }))
      if (page.length === 0) break
      paged.push(...page)
    }
    expect(paged).toEqual(whole)
  })

  test('a stream that nobody knows has no events and no revision', async () => {
    const store = new MemoryEventStorage()
    expect(await all(store.readStream('nobody'))).toEqual([])
    expect(await store.info('nobody')).toEqual({ stream: 'nobody', revision: -1, first: 0 })
  })

  test('whoever listens is woken by an append, until it stops', async () => {
    const store = new MemoryEventStorage()
    let woken = 0
    const end = await store.listen(() => woken++)
    await store.append([{ stream: 's', events: events(1), expected: 'any' }])
    await expect.poll(() => woken).toBe(1)
    await end()
    await store.append([{ stream: 's', events: events(1), expected: 'any' }])
    expect(woken).toBe(1)
  })
})

describe('what is gone', () => {
  test('a deleted stream has no events, keeps its name, and a repetition is still known', async () => {
    const store = new MemoryEventStorage({ clock: { now: () => 7 } })
    const first = events(2)
    await store.append([{ stream: 's', events: first, expected: 'none' }])
    await expect(store.deleteStream('s', { expected: 0 })).rejects.toThrow(ConcurrencyError)
    const gone = { stream: 's', revision: 1, first: 2, deletedAt: 7 }
    expect(await store.deleteStream('s', { expected: 1 })).toEqual(gone)
    expect(await store.deleteStream('s')).toEqual(gone)
    expect(await all(store.readStream('s'))).toEqual([])
    expect(await all(store.readAll())).toEqual([])
    for (const expected of ['any', 'none', 'exists', 1] as const) {
      await expect(store.append([{ stream: 's', events: events(1), expected }])).rejects.toThrow(StreamDeletedError)
    }
    await expect(store.append([{ stream: 's', events: first, expected: 'none' }])).resolves.toMatchObject([
      { revision: 1, repeated: true },
    ])
  })

  test('a stream that was never there cannot be deleted', async () => {
    const store = new MemoryEventStorage()
    await expect(store.deleteStream('s')).rejects.toThrow(ConcurrencyError)
    await expect(store.deleteStream('s', { expected: 'any' })).rejects.toThrow(ConcurrencyError)
  })

  test('truncation forgets the oldest and renumbers nothing', async () => {
    const store = new MemoryEventStorage()
    await store.append([{ stream: 's', events: events(5), expected: 'none' }])
    expect(await store.truncateBefore('s', 3)).toBe(3)
    expect(await store.truncateBefore('s', 3)).toBe(0)
    expect(await revisions(store.readStream('s'))).toEqual([3, 4])
    expect(await store.info('s')).toEqual({ stream: 's', revision: 4, first: 3 })
    await expect(store.append([{ stream: 's', events: events(1), expected: 4 }])).resolves.toMatchObject([
      { revision: 5 },
    ])
  })

  test('after stop everything is refused', async () => {
    const store = new MemoryEventStorage()
    await store.start()
    await store.stop()
    await store.stop()
    await expect(store.ping()).rejects.toThrow(/was stopped/)
    await expect(store.append([{ stream: 's', events: events(1), expected: 'any' }])).rejects.toThrow(/was stopped/)
    await expect(all(store.readAll())).rejects.toThrow(/was stopped/)
  })
})
