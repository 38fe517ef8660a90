import { describe, expect, test } from 'vitest'

import { createFakeClock } from './fake-clock.ts'

describe('a fake clock', () => {
  test('stands still at the moment that it was given', async () => {
    const clock = createFakeClock(new Date('2026-03-01T12:00:00Z'))
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(clock.now()).toBe(Date.UTC(2026, 2, 1, 12))
  })

  test('calls what comes due in order of time, each at its own time, and those of one moment as they were scheduled', async () => {
    const clock = createFakeClock(1_000)
    const calls: string[] = []
    const note = (name: string) => () => calls.push(`${name} at ${clock.now()}`)
    clock.schedule(50, note('late'))
    clock.schedule(10, note('first'))
    clock.schedule(10, note('second'))
    clock.schedule(51, note('not yet'))
    await clock.advance(50)
    expect(calls).toEqual(['first at 1010', 'second at 1010', 'late at 1050'])
    expect(clock.now()).toBe(1_050)
    expect(clock.pending).toBe(1)
  })

  test('lets promises settle before the next timer, and calls what they scheduled on the way', async () => {
    const clock = createFakeClock(0)
    const calls: string[] = []
    clock.schedule(10, () => {
      void (async () => {
        for (let hop = 0; hop < 20; hop++) await Promise.resolve()
        for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve))
        calls.push(`work done at ${clock.now()}`)
        clock.schedule(5, () => calls.push(`follow-up at ${clock.now()}`))
      })()
    })
    clock.schedule(12, () => calls.push(`next at ${clock.now()}`))
    await clock.advance(100)
    expect(calls).toEqual(['work done at 10', 'next at 12', 'follow-up at 15'])
  })

  test('work that takes many turns of the event loop ends at its own moment', async () => {
    const clock = createFakeClock(0)
    const ended: string[] = []
    const pause = (): Promise<void> => new Promise((resolve) => void clock.schedule(0, resolve))
    clock.schedule(10, () => {
      void (async () => {
        for (let turn = 0; turn < 20; turn++) await pause()
        ended.push(`work at ${clock.now()}`)
      })()
    })
    clock.schedule(12, () => ended.push(`next at ${clock.now()}`))
    await clock.advance(100)
    expect(ended).toEqual(['work at 10', 'next at 12'])
  })

  test('never calls a timer that was cancelled, also not by the one before it', async () => {
    const clock = createFakeClock()
    const calls: string[] = []
    const cancel = clock.schedule(20, () => calls.push('cancelled'))
    clock.schedule(10, cancel)
    await clock.advance(100)
    expect(calls).toEqual([])
    expect(clock.pending).toBe(0)
  })

  test('calls what is scheduled for now without being moved, but never at once', async () => {
    const clock = createFakeClock()
    const calls: string[] = []
    const called = new Promise<void>((resolve) => {
      clock.schedule(0, () => {
        calls.push('timer')
        resolve()
      })
    })
    calls.push('code after it')
    await called
    expect(calls).toEqual(['code after it', 'timer'])
  })

  test('two moves that overlap follow one another', async () => {
    const clock = createFakeClock(0)
    const calls: number[] = []
    clock.schedule(15, () => calls.push(clock.now()))
    await Promise.all([clock.advance(10), clock.advance(10)])
    expect(clock.now()).toBe(20)
    expect(calls).toEqual([15])
  })

  test('a callback that throws rejects the move, and the clock goes on from there', async () => {
    const clock = createFakeClock(0)
    clock.schedule(10, () => {
      throw new Error('broken')
    })
    await expect(clock.advance(100)).rejects.toThrow('broken')
    expect(clock.now()).toBe(10)
    await clock.advance(5)
    expect(clock.now()).toBe(15)
  })

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('cannot move by %s', async (ms) => {
    await expect(createFakeClock().advance(ms)).rejects.toThrow(`not by ${ms}`)
  })

  test('cannot start at what is no moment', () => {
    expect(() => createFakeClock(new Date('nonsense'))).toThrow('a clock cannot start at NaN')
  })
})
