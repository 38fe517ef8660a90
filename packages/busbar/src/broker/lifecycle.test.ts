import { expect, test } from 'vitest'
import { Lifecycle } from './lifecycle.ts'

const life = (): Lifecycle<{ n: number }> => new Lifecycle('the test broker')

test('opens once, however often it is started, and closes once, however often it is stopped', async () => {
  const subject = life()
  let [opened, closed] = [0, 0]
  const open = async () => ({ n: ++opened })
  await Promise.all([subject.start(open), subject.start(open)])
  await subject.start(open)
  expect(subject.running).toEqual({ n: 1 })
  const close = async (): Promise<void> => void closed++
  await Promise.all([subject.stop(close), subject.stop(close)])
  expect([opened, closed]).toEqual([1, 1])
})

test('nothing runs before start or after stop, and the error says which', async () => {
  const subject = life()
  expect(() => subject.running).toThrow(/the test broker was not started: call start\(\) first/)
  await subject.start(async () => ({ n: 1 }))
  const stopping = subject.stop(async () => {})
  expect(() => subject.running).toThrow(/was stopped; make another one/)
  await stopping
  await expect(subject.start(async () => ({ n: 2 }))).rejects.toThrow(/was stopped/)
})

test('a start that failed may be tried again', async () => {
  const subject = life()
  await expect(subject.start(() => Promise.reject(new Error('away')))).rejects.toThrow('away')
  await subject.start(async () => ({ n: 2 }))
  expect(subject.running.n).toBe(2)
})

test('a stop ends a start that still waits, and closes after it', async () => {
  const subject = life()
  const order: string[] = []
  const starting = subject.start(async (ending) => {
    await new Promise((resolve) => ending.addEventListener('abort', resolve))
    order.push('start ended')
    throw ending.reason
  })
  const failure = starting.catch((error: unknown) => error)
  await subject.stop(async (running) => void order.push(running === undefined ? 'closed nothing' : 'closed'))
  expect(String(await failure)).toMatch(/was stopped/)
  expect(order).toEqual(['start ended', 'closed nothing'])
})
