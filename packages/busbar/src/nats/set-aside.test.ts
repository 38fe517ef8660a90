import { describe, expect, test } from 'vitest'
import type { KnownAside } from './asides.ts'
import { SetAside } from './set-aside.ts'

const always = (): boolean => true

function aside(seq: number, changes: Partial<KnownAside> = {}): KnownAside {
  return { entry: `l${seq}`, seq, due: 0, attempts: 0, redeliveries: 0, crashes: 0, place: '', ...changes }
}

function entries(asides: readonly KnownAside[]): string[] {
  return asides.map(({ entry }) => entry)
}

describe('what is set aside', () => {
  test('is taken when it is due, as far as there is room, and what is newer replaces what is older', () => {
    const known = new SetAside()
    expect(known.learn(aside(1, { due: 10 }))).toBe(true)
    known.learn(aside(2, { due: 5 }))
    known.learn(aside(3, { entry: 'l1', due: 20 }))
    expect(known.learn(aside(1, { due: 10 }))).toBe(false)
    expect(known.nextDue(0)).toBe(5)
    expect(known.takeDue(4, always, always)).toEqual([])
    expect(known.takeDue(30, always, () => false)).toEqual([])
    expect(entries(known.takeDue(30, always, always))).toEqual(['l2', 'l1'])
    expect(known.nextDue(30)).toBe(Infinity)
  })

  test('that may not go is looked at again the next time', () => {
    const known = new SetAside()
    known.learn(aside(1))
    expect(known.takeDue(0, () => false, always)).toEqual([])
    const taken = known.takeDue(0, always, always)
    expect(entries(taken)).toEqual(['l1'])
    known.putBack(taken)
    expect(entries(known.takeDue(0, always, always))).toEqual(['l1'])
  })
})

describe('a lane', () => {
  const lane = { lane: 'k' }

  test('goes in the order of the log, whatever was stored first, each when the one before is settled', () => {
    const known = new SetAside()
    const [one, two] = [aside(9, { entry: 'l1', origin: 1, ...lane }), aside(8, { entry: 'l2', origin: 2, ...lane })]
    known.learn(two)
    known.learn(one)
    expect(entries(known.takeDue(0, always, always))).toEqual(['l1'])
    expect(known.takeDue(0, always, always)).toEqual([])
    known.forget(one)
    expect(entries(known.takeDue(0, always, always))).toEqual(['l2'])
  })

  test('waits behind a dead letter until it is redriven or discarded', () => {
    const known = new SetAside()
    const dead = { entry: 'l1', origin: 1, state: 'dead', ...lane } as const
    known.learn(aside(1, dead))
    known.learn(aside(2, { origin: 2, state: 'parked', ...lane }))
    expect(known.takeDue(0, always, always)).toEqual([])
    expect(known.blocks('k', 3)).toBe(true)
    expect(known.blocks('k', 1)).toBe(false)
    known.learn(aside(5, { ...dead, state: 'discarded' }))
    expect(entries(known.takeDiscarded())).toEqual(['l1'])
    expect(entries(known.takeDue(0, always, always))).toEqual(['l2'])
    expect(known.get('l1')).toBeDefined()
  })

  test('goes on with a redriven one first', () => {
    const known = new SetAside()
    known.learn(aside(1, { entry: 'l1', origin: 1, state: 'dead', ...lane }))
    known.learn(aside(2, { origin: 2, state: 'parked', ...lane }))
    known.learn(aside(7, { entry: 'l1', origin: 1, ...lane }))
    expect(entries(known.takeDue(0, always, always))).toEqual(['l1'])
  })

  test('of a hundred thousand drains without looking at all of them for each', () => {
    const known = new SetAside()
    const all = Array.from({ length: 100_000 }, (_, n) => aside(n + 1, { origin: n + 1, state: 'parked', ...lane }))
    for (const one of all) known.learn(one)
    for (const one of all) {
      expect(known.takeDue(0, always, always)[0]).toBe(one)
      known.forget(one)
    }
    expect(known.blocks('k', Infinity)).toBe(false)
  }, 60_000)
})
