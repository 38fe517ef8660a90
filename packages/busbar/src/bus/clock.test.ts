import { getEventListeners } from 'node:events'

import { expect, test, vi } from 'vitest'

import { systemClock, wait } from './clock.ts'
import { handClock } from './fixtures/clock.ts'

test('a wait resolves to true when its time has come, and leaves nothing behind', async () => {
  const clock = handClock()
  const { signal } = new AbortController()
  const waiting = wait(clock, 10, signal)
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  await clock.advance(10)
  expect(await waiting).toBe(true)
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
})

test('a wait resolves to false when its signal is aborted, now or before, and leaves no timer', async () => {
  const clock = handClock()
  const controller = new AbortController()
  const waiting = wait(clock, 10, controller.signal)
  controller.abort()
  expect(await waiting).toBe(false)
  expect(await wait(clock, 10, controller.signal)).toBe(false)
  expect(clock.pending).toBe(0)
})

test('the system’s clock waits longer than one timer can, and can be cancelled in any part of it', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  try {
    const day = 86_400_000
    const called: string[] = []
    systemClock.schedule(60 * day, () => called.push('kept'))
    const cancel = systemClock.schedule(60 * day, () => called.push('cancelled'))
    await vi.advanceTimersByTimeAsync(50 * day)
    cancel()
    expect(called).toEqual([])
    await vi.advanceTimersByTimeAsync(10 * day)
    expect(called).toEqual(['kept'])
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})
