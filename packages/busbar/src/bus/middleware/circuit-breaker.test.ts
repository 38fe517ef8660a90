import { expect, test } from 'vitest'

import { MemoryBroker } from '../../memory/index.ts'
import { ConfigurationError } from '../../message/errors.ts'
import { memoryBus } from '../fixtures/bus.ts'
import { handClock, settled } from '../fixtures/clock.ts'
import { Ticked } from '../fixtures/contracts.ts'
import { consumeOf, incoming } from '../fixtures/incoming.ts'
import { circuitBreaker, type CircuitBreakerOptions } from './circuit-breaker.ts'

const down = (): Promise<never> => Promise.reject(new Error('service is down'))
const up = (): Promise<string> => Promise.resolve('up')

function breaker(options: CircuitBreakerOptions = {}) {
  const clock = handClock()
  const changes: string[] = []
  const consume = consumeOf(
    circuitBreaker({
      failures: 3,
      resetAfter: 1_000,
      clock,
      onChange: (key, state) => changes.push(`${key} ${state}`),
      ...options,
    }),
  )
  const run = async (next: () => Promise<unknown>, group = 'g'): Promise<unknown> => {
    try {
      return await consume(incoming({ group }), next)
    } catch (error) {
      return (error as Error).name
    }
  }
  return { clock, changes, run }
}

test('opens after so many failures in a row; then handlers are not run', async () => {
  const { changes, run } = breaker()
  await run(down)
  await run(down)
  await run(up)
  expect([await run(down), await run(down), await run(down)]).toEqual(['Error', 'Error', 'Error'])
  expect(changes).toEqual(['g open'])
  let ran = false
  expect(await run(async () => (ran = true))).toBe('CircuitOpenError')
  expect(ran).toBe(false)
})

test('half open, a single run tries; when it succeeds the circuit is closed', async () => {
  const { changes, clock, run } = breaker()
  for (let n = 0; n < 3; n++) await run(down)
  await clock.advance(999)
  expect(await run(up)).toBe('CircuitOpenError')
  await clock.advance(1)
  const { promise, resolve } = Promise.withResolvers()
  const probe = run(() => promise)
  expect(await run(up)).toBe('CircuitOpenError')
  resolve('tried')
  expect(await probe).toBe('tried')
  expect(await run(up)).toBe('up')
  expect(changes).toEqual(['g open', 'g half-open', 'g closed'])
})

test('half open, a run that fails opens it again for the whole time', async () => {
  const { changes, clock, run } = breaker()
  for (let n = 0; n < 3; n++) await run(down)
  await clock.advance(1_000)
  expect(await run(down)).toBe('Error')
  await clock.advance(999)
  expect(await run(up)).toBe('CircuitOpenError')
  await clock.advance(1)
  expect(await run(up)).toBe('up')
  expect(changes).toEqual(['g open', 'g half-open', 'g open', 'g half-open', 'g closed'])
})

test('a run that began before the circuit opened does not close it', async () => {
  const { run } = breaker()
  const { promise, resolve } = Promise.withResolvers()
  const early = run(() => promise)
  for (let n = 0; n < 3; n++) await run(down)
  resolve('late success')
  await early
  expect(await run(up)).toBe('CircuitOpenError')
})

test('each group has a circuit of its own, or whatever key is given', async () => {
  const byGroup = breaker()
  for (let n = 0; n < 3; n++) await byGroup.run(down, 'a')
  expect(await byGroup.run(up, 'b')).toBe('up')
  const shared = breaker({ key: () => 'payments' })
  for (let n = 0; n < 3; n++) await shared.run(down, 'a')
  expect(await shared.run(up, 'b')).toBe('CircuitOpenError')
})

test('errors that do not count leave it closed', async () => {
  const { run } = breaker({ counts: (error) => (error as Error).message !== 'service is down' })
  for (let n = 0; n < 10; n++) await run(down)
  expect(await run(up)).toBe('up')
})

test('a message that met an open circuit comes again and is handled once it is closed', async () => {
  const clock = handClock()
  await using bus = await memoryBus(
    {
      middleware: [circuitBreaker({ failures: 1, resetAfter: 100, clock })],
      retry: { redeliveries: [50, 50] },
      clock,
    },
    new MemoryBroker({ clock }),
  )
  let healthy = false
  let runs = 0
  const subscription = await bus.subscribe(Ticked, () => {
    runs++
    if (!healthy) throw new Error('service is down')
  })
  await bus.publish(Ticked.create({ n: 1 }))
  await settled()
  healthy = true
  await clock.advance(50)
  expect(runs).toBe(1)
  await clock.advance(50)
  expect(runs).toBe(2)
  expect(subscription.stats()).toMatchObject({ handled: 1, failed: 2, redelivered: 2, deadLettered: 0 })
})

test('settings that make no sense are refused', () => {
  expect(() => circuitBreaker({ failures: 0 })).toThrow(ConfigurationError)
  expect(() => circuitBreaker({ resetAfter: -1 })).toThrow(ConfigurationError)
})
