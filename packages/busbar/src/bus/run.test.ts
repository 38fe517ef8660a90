import { expect, test } from 'vitest'

import { keepingLogger } from './fixtures/bus.ts'
import { Ticked } from './fixtures/contracts.ts'
import { delivery } from './fixtures/delivery.ts'
import { Run } from './run.ts'

function run() {
  const lease = new AbortController()
  const bus = { publish: () => Promise.resolve(), send: () => Promise.resolve(), logger: keepingLogger() }
  const subject = new Run(Ticked.create({ n: 1 }), 1, 'g', 'h', { ...delivery({ n: 1 }), signal: lease.signal }, bus)
  return { subject, lease }
}

test('the signal is one and the same, and follows that of the delivery', () => {
  const { subject, lease } = run()
  const { signal } = subject
  expect(subject.signal).toBe(signal)
  expect(signal.aborted).toBe(false)
  lease.abort(new Error('lease lost'))
  expect(signal.reason).toMatchObject({ message: 'lease lost' })
})

test('asked for after the delivery was aborted, it is aborted', () => {
  const { subject, lease } = run()
  lease.abort(new Error('lease lost'))
  expect(subject.signal.reason).toMatchObject({ message: 'lease lost' })
})

test('aborted by middleware, before or after it is asked for, it is aborted, and the delivery is not', () => {
  for (const early of [true, false]) {
    const { subject, lease } = run()
    if (early) expect(subject.signal.aborted).toBe(false)
    subject.abort(new Error('too late'))
    expect(subject.signal.reason).toMatchObject({ message: 'too late' })
    expect(lease.signal.aborted).toBe(false)
  }
})

test('a view of the run with another message has the same signal', () => {
  const { subject } = run()
  // As the engine does before the first middleware.
  expect(subject.state.original).toBe(subject.message)
  const view = Object.create(subject, { message: { value: Ticked.create({ n: 2 }) } }) as Run
  const { signal } = view
  subject.abort(new Error('too late'))
  expect(signal.aborted).toBe(true)
  expect(subject.signal).toBe(signal)
})
